// Whatever a post is and whatever a list does to it: nobody throws, the size is exact, the result is one whole message, the
// post comes back byte for byte, and no member's values are in another's copy.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <set>
#include <string>

#include "protocol/list/cook.hpp"
#include "protocol/list/decorate.hpp"
#include "protocol/list/personal.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mime/parts.hpp"
#include "tests/protocol/list/some_post.hpp"
#include "tests/protocol/list/told_authenticity.hpp"

using namespace spoold;
using namespace spoold::list;
using tests::some_list, tests::some_post;

namespace {

bool is_munged(const List& list, const tests::Told& told) {
  const AlignRules& rules = list.settings.align;
  const bool acts = rules.dmarc == Dmarc::munge || rules.dmarc == Dmarc::wrap;
  return acts && !rules.transparent && !list.settings.anonymous &&
         (rules.when == DmarcWhen::always || !told.is_aligned);
}

}  // namespace

TEST_CASE("cook: any post, any settings: exact, whole, restorable, and nobody's values in another's copy") {
  const bool ok = rc::check([] {
    const std::string post = some_post();
    const List list = some_list();
    const auto header = mail::Header::scan(post);
    RC_ASSERT(header.has_value());
    const mail::Scanned scanned = mail::scan(post);
    mail::Draft draft(*header, scanned);
    draft.prepend("Received: by us\r\n");
    const Filtered filter = filtered(list, post, mime::parts_of(post));
    const auto tail = tail_of(std::string_view(post).substr(0, filter.end));
    tests::Told told(*rc::gen::arbitrary<bool>());
    if (const mail::Field* signature = header->find("DKIM-Signature")) told.broken_ones = {*signature};
    cook(draft, list,
         {.message_id = "<made@us>",
          .date = "Mon, 1 Jun 2026 10:00:00 +0000",
          .post = 7,
          .tail = tail,
          .unique = "ID1",
          .authenticity = &told,
          .filtered = &filter});
    const mail::Outgoing out = draft.outgoing();
    const auto copy_for = [&](const Reader& reader) {
      std::string copy = out.head;
      for (const mail::Splice& piece : out.body) {
        copy.append(post, piece.offset, piece.length).append(piece.own);
        copy += written(piece.blank, reader);
      }
      return copy;
    };
    const std::string shared = copy_for({});
    RC_ASSERT(shared.size() == out.size);
    const mail::Octets octets = mail::octets_of(shared);
    RC_ASSERT(out.octets.eight_bit || !octets.eight_bit);
    RC_ASSERT(out.octets.leading_dots || !octets.leading_dots);

    const auto fields = mail::Header::scan(shared);
    RC_ASSERT(fields.has_value());
    RC_ASSERT(fields->count("List-Id") == 1u || list.settings.align.transparent);
    // Posts with several authors, or none, are refused (policy.hpp).
    if (is_munged(list, told) && mail::author(*header).kind == mail::Author::Kind::one) {
      RC_ASSERT(fields->count("From") == 1u);
      const auto from = mail::address_list(fields->find("From")->value);
      RC_ASSERT(from.faults.empty());
      RC_ASSERT(from.addresses.size() == 1u);
      RC_ASSERT(from.addresses.front().mailbox.text() == list.address());
      RC_ASSERT(from.addresses.front().name.find('@') == std::string::npos);
      // The author never disappears, and nobody is added.
      std::set<std::string> sent, answered;
      for (const Mailbox& one : mail::mailboxes(*header, {"From", "Reply-To"})) sent.insert(one.key());
      for (const Mailbox& one : mail::mailboxes(*fields, {"From", "Reply-To"})) answered.insert(one.key());
      sent.insert(list.address());
      RC_ASSERT(sent == answered);
    }
    RC_ASSERT(fields->count("Message-ID") >= 1u);
    RC_ASSERT(fields->count("Date") >= 1u);
    // Of a post whose form was not refused: RFC 5322 3.6.
    const Post judged(*header, "anna@a.example");
    if (judged.doubled == nullptr && judged.author.kind == mail::Author::Kind::one) {
      RC_ASSERT(fields->count("From") == 1u);
      for (const char* once :
           {"Date", "Sender", "Reply-To", "To", "Cc", "Message-ID", "In-Reply-To", "References", "Subject",
            "MIME-Version", "Content-Type", "Content-Transfer-Encoding"})
        RC_ASSERT(fields->count(once) <= 1u);
    }
    RC_ASSERT(fields->count("Bcc") == 0u);
    const auto parts = mime::parts_of(shared);
    RC_ASSERT(parts.has_value());
    // What is filtered away is nowhere, unless nothing was left: such a post does not go out.
    const bool filters = !list.settings.filter.types.empty() && !filter.nothing;
    for (const mime::Part& part : *parts) RC_ASSERT(!filters || part.type != "image/png");

    std::string restored;
    for (const mail::Restored& one : draft.way_back(post))
      restored.append(shared, one.offset, one.length).append(one.removed);
    RC_ASSERT(restored == post);

    const Reader carl{.address = "carl@c.example",
                      .name = "Carl C.",
                      .delivered_to = "carl@c.example",
                      .leave_url = "mailto:carl"};
    const Reader dora{.address = "dora@d.example",
                      .name = "Dora \xc3\x84",
                      .delivered_to = "dora@d.example",
                      .leave_url = "mailto:dora"};
    RC_ASSERT(copy_for(carl).find("dora") == std::string::npos);
    RC_ASSERT(copy_for(dora).find("carl") == std::string::npos);
    const bool one_click = list.settings.one_click && !list.settings.align.transparent;
    if (list.settings.personalize == Personalize::none && !one_click) RC_ASSERT(copy_for(carl) == shared);
    RC_ASSERT((copy_for(carl).find("List-Unsubscribe: <mailto:carl>\r\n") != std::string::npos) == one_click);
  });
  CHECK(ok);
}
