// DKIM2 of our own without cryptography: recipes straight from a draft. Whole copies with keys: tests/blackbox/test_dkim2_lists.py.
#include "protocol/auth/dkim2_make.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "protocol/auth/dkim2.hpp"
#include "protocol/list/cook.hpp"
#include "protocol/list/decorate.hpp"
#include "protocol/list/filter.hpp"
#include "protocol/list/personal.hpp"
#include "protocol/mail/base64.hpp"
#include "protocol/mail/utf8.hpp"
#include "tests/protocol/list/some_post.hpp"
#include "tests/protocol/list/told_authenticity.hpp"

using namespace spoold;
using namespace spoold::auth;

namespace {

constexpr std::string_view post =
    "From: Anna <anna@a.example>\r\nSubject: Hello\r\n world\r\nReceived: x\r\nTo: test@lists.example\r\n"
    "\r\none\r\ntwo\r\n";

struct Drafted {
  explicit Drafted(std::string_view octets)
      : text(octets), header(*mail::Header::scan(text)), draft(header, scanned) {}
  std::string json(bool secret = false) const { return recipes_of(draft, text, secret).json; }
  /// Behind the header.
  std::uint64_t at(std::string_view line) const { return text.find(line, header.end()); }

  const std::string text;
  const mail::Header header;
  const mail::Scanned scanned = mail::scan(text);
  mail::Draft draft;
};

std::vector<mail::Own> own(std::string text, mail::Blank blank = 0) {
  std::vector<mail::Own> pieces;
  pieces.push_back({std::move(text), blank});
  return pieces;
}

/// The octets that are hashed.
class Kept : public Digest {
 public:
  void update(std::string_view octets) override { all_ += octets; }
  std::string finish() override { return all_; }
  std::unique_ptr<Digest> copy() const override { return std::make_unique<Kept>(*this); }

 private:
  std::string all_;
};
std::unique_ptr<Digest> kept() {
  return std::make_unique<Kept>();
}

std::string simple(std::string_view body) {
  BodyHash hash(false, std::nullopt, kept);
  hash.update(body);
  return *hash.finish();
}

}  // namespace

TEST_CASE("DKIM2 recipes: of fields what was added, replaced and removed, and no word of the others") {
  Drafted d(post);
  CHECK(d.json() == "");
  d.draft.prepend("Received: by us\r\n");
  d.draft.append("X-BeenThere: us\r\n");
  CHECK(d.json() == "");
  d.draft.append("List-Id: <us>\r\n");
  CHECK(d.json() == R"({"h":{"list-id":[]}})");
  d.draft.replace("Subject", "Subject: [T] Hello\r\n");
  CHECK(d.json() == R"({"h":{"list-id":[],"subject":[{"d":[" Hello world"]}]}})");
  CHECK_FALSE(d.draft.body_edited());

  Drafted odd("Od\"d\\: x\r\n\r\n");
  odd.draft.remove([](const mail::Field&) { return true; });
  CHECK(odd.json() == R"({"h":{"od\"d\\":[{"d":[" x"]}]}})");

  Drafted many("To: 3\r\nTo: 2\r\nTo: 1\r\nCc: \"x\" \\\r\n\r\n");
  many.draft.remove([](const mail::Field& field) { return field.value == " 2" || field.name == "Cc"; });
  many.draft.append("To: 0\r\n");
  CHECK(many.json() == R"({"h":{"cc":[{"d":[" \"x\" \\"]}],"to":[{"c":[2,2]},{"d":[" 2"]},{"c":[3,3]}]}})");
}

TEST_CASE("DKIM2 recipes: what nobody is to have back is left out") {
  Drafted d("Approved: secret\r\nBcc: hidden@a.example\r\nSubject: \xff\r\nCc: x\r\n\r\n");
  d.draft.remove([](const mail::Field&) { return true; });
  const MadeRecipes made = recipes_of(d.draft, d.text);
  CHECK(made.json == R"({"h":{"cc":[{"d":[" x"]}]}})");
  CHECK_FALSE(made.complete);
}

TEST_CASE("DKIM2 recipes: a body by its lines") {
  Drafted d(post);
  d.draft.insert(d.text.size(), own("-- \r\nfooter\r\n"));
  CHECK(d.json() == R"({"b":[{"c":[1,2]}]})");
  d.draft.insert(d.header.end(), own("header\r\n\r\n"));
  CHECK(d.json() == R"({"b":[{"c":[3,4]}]})");
  d.draft.cut(d.at("two"), d.text.size(), own("TWO\r\n"));
  CHECK(d.json() == R"({"b":[{"c":[3,3]},{"d":["two"]}]})");
  CHECK(d.json(true) == R"({"b":null})");

  Drafted all(post);
  all.draft.cut(all.header.end(), all.text.size(), {});
  CHECK(all.json() == R"({"b":[{"d":["one","two"]}]})");

  Drafted none("A: b\r\n\r\n");
  none.draft.insert(none.text.size(), own("footer\r\n"));
  CHECK(none.json() == R"({"b":[]})");

  Drafted cut_off("A: b\r\n\r\none\r\ntwo");
  cut_off.draft.insert(cut_off.text.size(), own("\r\nfooter\r\n"));
  CHECK(cut_off.json() == R"({"b":[{"c":[1,1]},{"d":["two"]}]})");

  Drafted large("A: b\r\n\r\n" + std::string(40000, 'x') + "\r\n");
  large.draft.cut(large.header.end(), large.text.size(), {});
  CHECK(large.json() == R"({"b":null})");
  Drafted octets("A: b\r\n\r\n\xff\r\nx\r\n");
  octets.draft.cut(octets.header.end(), octets.at("x"), {});
  CHECK(octets.json() == R"({"b":null})");
  CHECK(recipes_of(octets.draft, octets.text).body_lost);
}

TEST_CASE("DKIM2 recipes: behind a value whose lines differ between copies the text stands itself") {
  Drafted d(post);
  d.draft.insert(d.header.end(), own("for ", list::blank(list::Value::user_name, true)));
  CHECK(d.json() == R"({"b":[{"d":["one","two"]}]})");
  Drafted plain(post);
  plain.draft.insert(plain.header.end(), own("for ", list::blank(list::Value::user_name)));
  plain.draft.insert(plain.header.end(), own("\r\n"));
  CHECK(plain.json() == R"({"b":[{"c":[2,3]}]})");
}

TEST_CASE("DKIM2 recipes: any post, any settings: the copy leads back to the post") {
  const bool ok = rc::check([] {
    const std::string text = tests::some_post();
    const list::List list = tests::some_list();
    Drafted d(text);
    d.draft.prepend("Received: by us\r\n");
    const list::Filtered filter = list::filtered(list, text, mime::parts_of(text));
    const tests::Told told(*rc::gen::arbitrary<bool>());
    list::cook(d.draft, list,
               {.message_id = "<made@us>",
                .date = "Mon, 1 Jun 2026 10:00:00 +0000",
                .post = 7,
                .tail = list::tail_of(std::string_view(text).substr(0, filter.end)),
                .unique = "ID1",
                .authenticity = &told,
                .filtered = &filter});
    const MadeRecipes made = recipes_of(d.draft, text);
    const mail::Outgoing out = d.draft.outgoing();
    std::string copy =
        instance_field(1, made.json) + hash_value(std::string(32, 'h'), std::string(32, 'b')) + ";\r\n";
    copy += out.head;
    const auto address = *rc::gen::element<std::string>("carl@c.example", std::string(240, 'c'));
    const list::Reader reader{.address = address,
                              .name = "Dora \xc3\x84",
                              .delivered_to = "carl@c.example",
                              .leave_url = "mailto:carl"};
    for (const mail::Splice& piece : out.body) {
      copy.append(text, piece.offset, piece.length).append(piece.own);
      copy += list::written(piece.blank, reader);
    }
    const auto header = mail::Header::scan(copy);
    RC_ASSERT(header.has_value());
    const auto before = instance_of(*header, std::string_view(copy).substr(header->end()), 0);
    if (made.body_lost) {
      RC_ASSERT(!before);
      RC_ASSERT(!mail::is_utf8(text) || text.find("\r\r\n") != text.npos || text.find("\n\n") != text.npos ||
                text.find('\r') != text.npos);
      return;
    }
    RC_ASSERT(before.has_value());
    RC_ASSERT(simple(before->body) == simple(std::string_view(text).substr(d.header.end())));
    std::vector<std::string> fields;
    for (const mail::Field& field : d.header.fields())
      if (!field.name.empty()) fields.emplace_back(field.raw);
    if (made.complete)
      RC_ASSERT(header_hash(before->fields, kept) == header_hash(fields, kept));
    else
      RC_ASSERT(d.header.count("Bcc") != 0u || !mail::is_utf8(text.substr(0, d.header.end())));
    RC_ASSERT(copy.find("hidden") == copy.npos);
    if (only_adds(d.draft)) RC_ASSERT(made.json.find("\"d\"") == made.json.npos);
  });
  CHECK(ok);
}
