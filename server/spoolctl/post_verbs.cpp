// judge, cook: what a list would do with a mail, and what its members would get. By the very code that decides on arrival;
// nothing is stored.
#include <cstdio>
#include <stdexcept>

#include "protocol/list/cook.hpp"
#include "protocol/list/decorate.hpp"
#include "protocol/list/personal.hpp"
#include "protocol/list/policy.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/draft.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/idna.hpp"
#include "server/spoolctl/mail_input.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

namespace {

/// '' and '<>' are the null path; throws Usage when it is no path.
std::string reverse_path_of(const std::string& written) {
  const std::string text = without_brackets(written);
  if (text.empty()) return text;
  const auto mailbox = Mailbox::parse(ascii_domains(text), Mailbox::Allow::utf8);
  if (!mailbox) throw Usage{"--mail-from: '" + text + "' is not an address: " + mailbox.error()};
  return mailbox->text();
}

Json judgement_json(const list::Judgement& judgement) {
  const auto& refusal = judgement.refusal;
  return {{"outcome", list::text(judgement.outcome)},
          {"rule", judgement.rule},
          {"reason", text_or_null(judgement.reason)},
          {"reply", text_or_null(refusal ? refusal->oneline() : std::string())},
          {"poster", text_or_null(judgement.poster)},
          {"member", judgement.member}};
}

mail::Header header_of(std::string_view mail) {
  auto header = mail::Header::scan(mail);
  if (!header) throw std::runtime_error(std::string("bad header: ") + mail::text(header.error()));
  return std::move(*header);
}

/// A post as it would be cooked now, and one member's copy of it.
class Cooked {
 public:
  Cooked(const std::string& mail, const list::List& list)
      : mail_(mail), header_(header_of(mail)), scanned_(mail::scan(mail)), draft_(header_, scanned_) {
    const auto tail = std::string_view(mail).substr(mail.size() - std::min(mail.size(), list::most_tail));
    steps_ = list::cook(draft_, list,
                        {.message_id = "<made-on-arrival@" + list.domain + ">",
                         .post = list.last_post + 1,
                         .tail = tail,
                         .unique = "ID"});
    outgoing_ = draft_.outgoing();
  }

  const std::vector<list::Step>& steps() const { return steps_; }

  /// `reader`: nothing stands in the blanks without one.
  std::string copy(const std::optional<list::Reader>& reader) const {
    std::string out = outgoing_.head;
    for (const mail::Splice& piece : outgoing_.body) {
      out.append(mail_, piece.offset, piece.length).append(piece.own);
      if (reader && piece.blank != 0) out += list::written(piece.blank, *reader);
    }
    return out;
  }
  /// The mail again, from what members get and the way back.
  std::string restored() const {
    const std::string copied = copy(std::nullopt);
    std::string out;
    for (const mail::Restored& one : draft_.way_back(mail_))
      out.append(copied, one.offset, one.length).append(one.removed);
    return out;
  }

 private:
  const std::string& mail_;
  const mail::Header header_;
  const mail::Scanned scanned_;
  mail::Draft draft_;
  std::vector<list::Step> steps_;
  mail::Outgoing outgoing_;
};

Json explanation(const Cooked& cooked, const Reads& reads, const list::List& list, const list::Member* member,
                 std::size_t size) {
  Json steps = Json::array();
  for (const list::Step& step : cooked.steps())
    steps.push_back({{"setting", step.setting}, {"what", step.what}});
  return {{"envelope_sender", member == nullptr ? list::bounces_address(list)
                                                : reads.envelope_sender(list, list.last_post + 1, *member)},
          {"recipient", member == nullptr ? Json() : Json(member->address)},
          {"size", size},
          {"steps", std::move(steps)}};
}

void declare_cook(const Verbs& verbs) {
  Verb cook =
      verbs.add("cook", "print what members would get of the mail on standard input, but our Received field");
  const auto whose = cook.list();
  const auto address = cook.optional_word("--member", "the copy of this member", "ADDR");
  const auto explain =
      cook.flag("--explain", "print what is done, and by which setting, instead of the mail");
  const auto restore = cook.flag("--restore", "restore the mail from the cooked one, and compare");
  cook.runs([=](const Console& console) {
    const std::string mail = mail_from_input();
    return console.reading_list(*whose, [&](const Reads& reads, const list::List& list) {
      std::optional<list::Member> member;
      if (!address->empty()) {
        member = reads.member(list, *address);
        if (!member) throw std::runtime_error(*address + " is not a member of " + list.address());
      }
      const Cooked cooked(mail, list);
      if (*restore) {
        const bool identical = cooked.restored() == mail;
        console.print(Json{{"identical", identical}});
        return identical ? Exit::done : Exit::failed;
      }
      std::optional<list::Reader> reader;
      if (member)
        reader = {.address = member->address, .name = member->name, .delivered_to = member->address};
      const std::string copy = cooked.copy(reader);
      if (*explain || console.json)
        return console.print(explanation(cooked, reads, list, member ? &*member : nullptr, copy.size()));
      std::fwrite(copy.data(), 1, copy.size(), stdout);
      return Exit::done;
    });
  });
}

}  // namespace

void declare_post_verbs(const Verbs& verbs) {
  Verb judge = verbs.add("judge", "show whether a list takes the mail on standard input, and by which rule");
  const auto whose = judge.list();
  const auto sender = judge.optional_word("--mail-from", "the reverse path; '<>' is the null path", "ADDR");
  judge.options()->get_option("--mail-from")->required();
  (void)judge.optional_word("--client", "the client's address; no rule asks for it yet", "IP");
  judge.runs([=](const Console& console) {
    const std::string mail = mail_from_input();
    const mail::Header header = header_of(mail);
    return console.reading_list(*whose, [&](const Reads& reads, const list::List& list) {
      return console.print(judgement_json(reads.judge(list, header, reverse_path_of(*sender), mail.size())));
    });
  });
  declare_cook(verbs);
}

}  // namespace spoold::server::admin
