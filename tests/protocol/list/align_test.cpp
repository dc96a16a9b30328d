// From, Reply-To and authors' signatures of what members get, for receivers that ask for DMARC.
#include "protocol/list/align.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include <nlohmann/json.hpp>

#include "protocol/list/cook.hpp"
#include "protocol/list/settings_table.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mime/parts.hpp"
#include "tests/protocol/list/told_authenticity.hpp"
#include "tests/source_dir.hpp"

using namespace spoold;
using namespace spoold::list;
using tests::Told;

namespace {

List test_list() {
  List list;
  list.local = "test";
  list.domain = "lists.example.com";
  return list;
}

struct Copy {
  std::string text, restored;
  Cooked cooked;
  std::string field(std::string_view name) const {
    const auto header = mail::Header::scan(text);
    REQUIRE(header);
    CHECK(header->count(name) <= 1);
    const mail::Field* found = header->find(name);
    return found == nullptr ? std::string() : mail::unfolded(found->value);
  }
};

Copy copy_of(const std::string& post, const List& list, const Authenticity* authenticity,
             std::string_view poster_name = {}) {
  const auto header = mail::Header::scan(post);
  REQUIRE(header);
  const mail::Scanned scanned = mail::scan(post);
  mail::Draft draft(*header, scanned);
  draft.prepend("Received: by us\r\n");
  Copy made;
  made.cooked = cook(draft, list,
                     {.message_id = "<made@us>",
                      .post = 1,
                      .tail = post,
                      .unique = "ID",
                      .authenticity = authenticity,
                      .poster_name = poster_name});
  const mail::Outgoing out = draft.outgoing();
  made.text = out.head;
  for (const mail::Splice& piece : out.body)
    made.text.append(post, piece.offset, piece.length).append(piece.own);
  CHECK(made.text.size() == out.size);
  for (const mail::Restored& one : draft.way_back(post))
    made.restored.append(made.text, one.offset, one.length).append(one.removed);
  return made;
}

std::string munged(const std::string& from, std::string_view poster_name = {}) {
  const Copy copy =
      copy_of("From: " + from + "\r\nSubject: x\r\n\r\nHello\r\n", test_list(), &tests::nobody, poster_name);
  CHECK(copy.restored == "From: " + from + "\r\nSubject: x\r\n\r\nHello\r\n");
  return copy.field("From") + " | " + copy.field("Reply-To");
}

}  // namespace

TEST_CASE("align: From is the list, and the author is in Reply-To") {
  const std::string list = " <test@lists.example.com> | ";
  CHECK(munged("Anna <anna@a.example>") == "Anna via Test" + list + "Anna <anna@a.example>");
  CHECK(munged("anna@a.example", "Anna P.") == "\"Anna P. via Test\"" + list + "anna@a.example");
  CHECK(munged("anna@a.example") == "anna via Test" + list + "anna@a.example");
  CHECK(munged("\"\" <anna@a.example>") == "anna via Test" + list + "anna@a.example");
  CHECK(munged("anna@a.example (Anna, at home)") == "anna via Test" + list + "anna@a.example");
  CHECK(munged("=?utf-8?q?J=C3=B6rg?= <j@a.example>") ==
        "=?utf-8?q?J=C3=B6rg_via_Test?=" + list + "=?utf-8?q?J=C3=B6rg?= <j@a.example>");
  CHECK(munged("=?iso-8859-1?q?J=F6rg?= <j@a.example>") ==
        "=?iso-8859-1?q?J=F6rg?= via Test" + list + "=?iso-8859-1?q?J=F6rg?= <j@a.example>");
  CHECK(munged("Group: Anna <anna@a.example>, b@b.example;") ==
        "Anna via Test" + list + "Anna <anna@a.example>, b@b.example");
  CHECK(munged("undisclosed:;") == "Test" + list);
  CHECK(munged("no address") == "Test" + list);
  CHECK(munged("Test <test@lists.example.com>") == "Test <test@lists.example.com> | ");
}

TEST_CASE("align: names that look like addresses, inject fields or addresses, or turn the text around") {
  const std::string list = " <test@lists.example.com> | ";
  CHECK(munged("\"ceo@bank.example\" <x@evil.example>") ==
        "\"ceo at bank.example via Test\"" + list + "\"ceo@bank.example\" <x@evil.example>");
  CHECK(munged("=?utf-8?q?Anna=0D=0ABcc=3A_x=40evil.example?= <anna@a.example>") ==
        "\"Anna Bcc: x at evil.example via Test\"" + list + "\"Anna Bcc: x@evil.example\" <anna@a.example>");
  // Quotes undone, it would be an address of its own in Reply-To.
  CHECK(munged("\"=?utf-8?q?x?=, bad@evil.example\" <anna@a.example>") ==
        "\"x, bad at evil.example via Test\"" + list + "\"x, bad@evil.example\" <anna@a.example>");
  CHECK(munged("\"=?utf-8?q?x?= <bad@evil.example>,\" <anna@a.example>").find(", <") == std::string::npos);
  CHECK(munged("=?utf-8?q?=E2=80=AEanna=E2=80=AC?= <anna@a.example>").starts_with("anna via Test <"));
  const std::string lengthy(5000, 'n');
  const std::string shown = munged(lengthy + " <anna@a.example>");
  CHECK(shown.size() < 1000);
}

TEST_CASE("align: Reply-To keeps whom it names, in front, and names nobody twice") {
  const auto reply_to = [](const std::string& fields, const std::string& setting = "poster") {
    List list = test_list();
    REQUIRE(set(list.settings, "reply_to", setting));
    return copy_of("From: Anna <anna@a.example>\r\n" + fields + "\r\nHello\r\n", list, &tests::nobody)
        .field("Reply-To");
  };
  CHECK(reply_to("") == "Anna <anna@a.example>");
  CHECK(reply_to("Reply-To: anna@home.example\r\n") == "anna@home.example, Anna <anna@a.example>");
  CHECK(reply_to("Reply-To: ANNA@a.example\r\n") == "ANNA@a.example");
  CHECK(reply_to("Reply-To: no address\r\n") == "Anna <anna@a.example>");
  CHECK(reply_to("", "list") == "test@lists.example.com, Anna <anna@a.example>");
  CHECK(reply_to("Reply-To: anna@home.example\r\n", "list") ==
        "test@lists.example.com, anna@home.example, Anna <anna@a.example>");
  CHECK(reply_to("Reply-To: anna@a.example\r\n", "list") == "test@lists.example.com, anna@a.example");
}

TEST_CASE("align: when") {
  const auto from = [](const std::vector<std::pair<std::string, std::string>>& settings, const Told& told) {
    List list = test_list();
    for (const auto& [key, value] : settings) REQUIRE(set(list.settings, key, value));
    const Copy copy = copy_of("From: anna@a.example\r\n\r\nHello\r\n", list, &told);
    if (copy.cooked.refusal) return copy.cooked.refusal->oneline().substr(0, 9);
    return std::string(copy.field("From") == "anna@a.example" ? "stays" : "munged");
  };
  using Policy = Authenticity::Policy;
  const Told aligned(true), nobody, none(false, Policy::none), quarantine(false, Policy::quarantine);
  CHECK(from({}, aligned) == "stays");
  CHECK(from({}, nobody) == "munged");
  CHECK(from({}, none) == "munged");
  CHECK(from({{"dmarc", "accept"}}, nobody) == "stays");
  CHECK(from({{"dmarc", "reject"}}, nobody) == "550 5.7.1");
  CHECK(from({{"dmarc", "reject"}}, aligned) == "stays");
  CHECK(from({{"dmarc_when", "always"}}, aligned) == "munged");
  CHECK(from({{"dmarc_when", "reject"}}, nobody) == "munged");
  CHECK(from({{"dmarc_when", "reject"}}, aligned) == "stays");
  CHECK(from({{"dmarc_when", "reject"}}, quarantine) == "stays");
  CHECK(from({{"dmarc_when", "quarantine"}}, quarantine) == "munged");
  CHECK(from({{"dmarc_when", "quarantine"}}, nobody) == "munged");
  CHECK(from({{"dmarc_when", "quarantine"}}, none) == "stays");
  CHECK(from({{"dmarc_domains", "b.example, A.example"}}, aligned) == "munged");
  CHECK(from({{"dmarc_domains", "*.example"}}, aligned) == "munged");
  CHECK(from({{"dmarc_domains", "*.a.example"}}, aligned) == "stays");
  CHECK(from({{"dmarc_exempt", "a.example"}, {"dmarc_when", "always"}, {"dmarc_domains", "a.example"}},
             nobody) == "stays");
  CHECK(from({{"transparent", "true"}}, nobody) == "stays");
  CHECK(from({{"transparent", "true"}, {"dmarc", "reject"}}, nobody) == "550 5.7.1");
  CHECK(from({{"anonymous", "true"}, {"dmarc", "reject"}}, nobody) ==
        "munged");  // From is the list, whatever dmarc says
  List list = test_list();
  CHECK(!set(list.settings, "dmarc_domains", "not a domain!"));
  CHECK(!set(list.settings, "dmarc", "discard"));
}

TEST_CASE("align: what a list asks about its authors") {
  using Asks = AsksOfAuthor;
  Settings settings;
  CHECK(asks_of_author(settings) == Asks::signatures);
  for (const auto when : {DmarcWhen::reject, DmarcWhen::quarantine}) {
    settings.align.when = when;
    for (const auto dmarc : {Dmarc::munge, Dmarc::wrap, Dmarc::reject}) {
      settings.align.dmarc = dmarc;
      CHECK(asks_of_author(settings) == Asks::policy);
    }
  }
  settings.align.transparent = true;  // of which only dmarc = reject is left
  CHECK(asks_of_author(settings) == Asks::policy);
  settings.align.dmarc = Dmarc::munge;
  CHECK(asks_of_author(settings) == Asks::nothing);
  settings.align.transparent = false;
  settings.anonymous = true;
  CHECK(asks_of_author(settings) == Asks::nothing);
  settings.anonymous = false;
  for (const bool never : {true, false}) {
    settings.align.dmarc = never ? Dmarc::accept : Dmarc::munge;
    settings.align.when = never ? DmarcWhen::reject : DmarcWhen::always;
    settings.align.signatures = AuthorSignatures::keep;
    CHECK(asks_of_author(settings) == Asks::nothing);
    settings.align.signatures = AuthorSignatures::remove;
    CHECK(asks_of_author(settings) == Asks::signatures);
  }
}

TEST_CASE("align: a wrapped post is a message within a message, as it came") {
  List list = test_list();
  REQUIRE(set(list.settings, "dmarc", "wrap"));
  REQUIRE(set(list.settings, "subject_prefix", "[Test]"));
  REQUIRE(set(list.settings, "footer", "-- \nbye"));
  REQUIRE(set(list.settings, "remove_headers", "X-Secret"));
  const std::string inner =
      "From: Anna <anna@a.example>\r\nSubject: hello\r\nDKIM-Signature: v=1; d=a.example\r\nContent-Type: "
      "text/plain; "
      "charset=utf-8\r\n";
  const std::string post =
      inner + "Bcc: hidden@a.example\r\nX-Secret: 1\r\nMessage-ID: <1@a>\r\n\r\nGr\xc3\xbc\xc3\x9f\x65\r\n";
  const Copy copy = copy_of(post, list, &tests::nobody);
  CHECK(copy.restored == post);
  CHECK(copy.field("From") == "Anna via Test <test@lists.example.com>");
  CHECK(copy.field("Subject") == "[Test] hello");
  CHECK(copy.field("Message-ID") == "<1@a>");
  CHECK(copy.field("DKIM-Signature").empty());
  CHECK(copy.field("Content-Transfer-Encoding") == "8bit");
  CHECK(copy.text.find("\r\nContent-Type: message/rfc822\r\nContent-Disposition: "
                       "inline\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
                       inner + "Message-ID: <1@a>\r\n\r\nGr\xc3\xbc\xc3\x9f\x65\r\n\r\n--=_spoold_ID\r\n") !=
        std::string::npos);
  CHECK(copy.text.find("hidden@a.example") == std::string::npos);
  CHECK(copy.text.find("X-Secret") == std::string::npos);
  CHECK(copy.text.ends_with("-- \r\nbye\r\n\r\n--=_spoold_ID--\r\n"));
  CHECK(mime::parts_of(copy.text).has_value());
  // An aligned post is not wrapped.
  const Told aligned(true);
  CHECK(copy_of(post, list, &aligned).field("From") == "Anna <anna@a.example>");
}

TEST_CASE("align: signatures that do not hold any more") {
  const std::string post =
      "DKIM-Signature: v=1;\r\n d=a.example\r\nFrom: anna@a.example\r\nDKIM-Signature: v=1; "
      "d=b.example\r\n\r\nHello\r\n";
  for (const std::string setting : {"keep", "remove", "rename"}) {
    CAPTURE(setting);
    List list = test_list();
    REQUIRE(set(list.settings, "author_signatures", setting));
    Told told;
    const auto header = mail::Header::scan(post);
    told.broken_ones = {header->fields()[0]};
    const Copy copy = copy_of(post, list, &told);
    CHECK(copy.restored == post);
    const auto fields = mail::Header::scan(copy.text);
    CHECK(fields->count("DKIM-Signature") == (setting == "keep" ? 2u : 1u));
    CHECK(copy.field("X-Original-DKIM-Signature") == (setting == "rename" ? "v=1; d=a.example" : ""));
  }
}

TEST_CASE("align: a transparent list adds fields at the top, and none that a signature forbids") {
  List list = test_list();
  for (const char* const key : {"subject_prefix", "footer", "header"})
    REQUIRE(set(list.settings, key, "[x]"));
  REQUIRE(set(list.settings, "reply_to", "list"));
  REQUIRE(set(list.settings, "transparent", "true"));
  const std::string post =
      "Return-Path: <x@a.example>\r\nFrom: anna@a.example\r\nBcc: b@b.example\r\nList-Id: "
      "<other>\r\nPrecedence: bulk\r\n\r\nHello\r\n";
  Told told;
  told.forbidden = {"List-Unsubscribe"};
  told.covered = {"bcc"};
  const Copy copy = copy_of(post, list, &told);
  CHECK(copy.restored == post);
  CHECK(
      copy.text.ends_with("X-BeenThere: test@lists.example.com\r\nMessage-ID: <made@us>\r\nReceived: by "
                          "us\r\nFrom: anna@a.example\r\nBcc: "
                          "b@b.example\r\nList-Id: <other>\r\nPrecedence: bulk\r\n\r\nHello\r\n"));
  CHECK(copy.text.starts_with("List-Id: <test.lists.example.com>\r\n"));
  CHECK(copy.text.find("List-Unsubscribe") == std::string::npos);
}

// tests/protocol/list/data/mailman_dmarc.json: posts, and From, Reply-To, Cc and Sender of what Mailman 3.3.8 sent for them.
// `differs` lists, by hand, each difference on purpose, and why.
TEST_CASE("align: beside Mailman 3.3.8") {
  std::ifstream file(source_dir() + "/tests/protocol/list/data/mailman_dmarc.json");
  const auto cases = nlohmann::json::parse(file);
  REQUIRE(cases.size() == 30);
  for (const auto& one : cases) {
    const std::string id = one["id"].get<std::string>() + " " + one["title"].get<std::string>();
    CAPTURE(id);
    List list = test_list();
    for (const auto& [key, value] : one["settings"].items())
      REQUIRE(set(list.settings, key, value.get<std::string>()));
    const Told told(false,
                    one["policy"] == "none" ? Authenticity::Policy::none : Authenticity::Policy::reject);
    const std::string name = one["roster_name"];
    const Copy copy = copy_of(one["post"], list, &told, name);
    CHECK(copy.restored == one["post"].get<std::string>());
    const auto fields = [](const std::string& text) {
      std::vector<std::string> out;
      const auto header = mail::Header::scan(text);
      for (const mail::Field& field : header->fields())
        for (const char* const wanted : {"from", "reply-to", "cc", "sender"})
          if (mail::same(field.name, wanted))
            out.push_back(mail::lower(field.name) + ": " + mail::unfolded(field.value));
      std::sort(out.begin(), out.end());
      return out;
    };
    std::string sent;
    for (const auto& field : one["mailman"]) sent += field.get<std::string>() + "\r\n";
    const auto they = fields(sent + "\r\n"), we = fields(copy.text);
    std::vector<std::string> missing, added, differs, expected;
    std::set_difference(they.begin(), they.end(), we.begin(), we.end(), std::back_inserter(missing));
    std::set_difference(we.begin(), we.end(), they.begin(), they.end(), std::back_inserter(added));
    for (const auto& field : missing) differs.push_back("- " + field);
    for (const auto& field : added) differs.push_back("+ " + field);
    for (const auto& line : one["differs"]) expected.push_back(line["what"]);
    std::string shown;
    for (const auto& line : differs) shown += line + "\n";
    INFO(shown);
    CHECK((differs == expected));
  }
}
