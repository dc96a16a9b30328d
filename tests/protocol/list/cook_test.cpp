#include "protocol/list/cook.hpp"

#include <algorithm>
#include <fstream>
#include <map>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/phrase.hpp"
#include "tests/source_dir.hpp"

using namespace spoold;
using namespace spoold::list;

namespace {

List test_list() {
  List list;
  list.local = "test";
  list.domain = "lists.example.com";
  return list;
}

const std::string ours =
    "List-Id: <test.lists.example.com>\r\n"
    "List-Post: <mailto:test@lists.example.com>\r\n"
    "List-Help: <mailto:test-request@lists.example.com?subject=help>\r\n"
    "List-Subscribe: <mailto:test-join@lists.example.com>\r\n"
    "List-Unsubscribe: <mailto:test-leave@lists.example.com>\r\n"
    "List-Owner: <mailto:test-owner@lists.example.com>\r\n"
    "Precedence: list\r\n"
    "X-BeenThere: test@lists.example.com\r\n\r\n";

mail::Outgoing cooked(std::string_view post, const List& list, std::string_view received,
                      std::string_view message_id) {
  const auto header = mail::Header::scan(post);
  const mail::Scanned scanned = mail::scan(post);
  mail::Draft draft(*header, scanned);
  draft.prepend(std::string(received));
  cook(draft, list, {.message_id = message_id});
  return draft.outgoing();
}

std::string cooked_head(std::string_view post) {
  return cooked(post, test_list(), "Received: by us\r\n", "<made@us>").head;
}

/// "name: value" of each field, name in lower case, folding undone, sorted.
std::vector<std::string> fields(std::string_view head) {
  std::vector<std::string> out;
  const auto header = mail::Header::scan(head);
  for (const auto& field : header->fields())
    out.push_back(mail::lower(field.name) + ": " + mail::unfolded(field.value));
  std::sort(out.begin(), out.end());
  return out;
}

std::string latin1(const std::string& utf8) {  // the data file keeps each octet as one character below 256
  std::string out;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    auto octet = static_cast<unsigned char>(utf8[i]);
    if (octet < 0x80)
      out += utf8[i];
    else
      out += static_cast<char>((octet & 3) << 6 | (static_cast<unsigned char>(utf8[++i]) & 63));
  }
  return out;
}

}  // namespace

TEST_CASE("cook: bytes are preserved, ours at the end, Received on top") {
  const std::string post =
      "From: Anna <anna@a.example>\r\nX-Odd:no space\r\nReferences: <a@b>\r\n\t<c@d>\r\nMessage-ID: "
      "<m>\r\n\r\nBody\r\n";
  const mail::Outgoing out = cooked(post, test_list(), "Received: by us\r\n", "<made@us>");
  CHECK(out.head == "Received: by us\r\n" + post.substr(0, post.find("\r\n\r\n") + 2) + ours);
  REQUIRE(out.body.size() == 1);
  CHECK(post.substr(out.body[0].offset, out.body[0].length) == "Body\r\n");
  CHECK(out.size == out.head.size() + 6);
}

TEST_CASE("cook: what is replaced and what is removed, in any case and as often as it is there") {
  const std::string post =
      "list-id: <other>\r\nLIST-ID: <other>\r\nList-Post: NO\r\nList-Help: x\r\nList-Subscribe: "
      "x\r\nList-Unsubscribe: x,\r\n y\r\n"
      "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nList-Owner: x\r\nList-Archive: x\r\nPrecedence: "
      "bulk\r\n"
      "Disposition-Notification-To: x\r\nReturn-Receipt-To: x\r\nX-Confirm-Reading-To: x\r\nX-PMRQC: "
      "1\r\nApproved: secret\r\n"
      "Approve: secret\r\nX-Approved: secret\r\nX-Approve: secret\r\nUrgent: secret\r\nReturn-Path: "
      "<x>\r\nBcc: hidden@x\r\n"
      "Resent-Bcc: hidden@x\r\nMessage-ID: <m>\r\n\r\n";
  CHECK(cooked_head(post) == "Received: by us\r\nMessage-ID: <m>\r\n" + ours);
}

TEST_CASE("cook: odd headers") {
  CHECK(cooked_head("\r\nbody") == "Received: by us\r\nMessage-ID: <made@us>\r\n" + ours);
  CHECK(cooked_head("Message-ID: <m>") == "Received: by us\r\nMessage-ID: <m>\r\n" + ours);
  CHECK(cooked_head("From anna@a Mon Jun 1\r\nMessage-ID: <m>\r\n\r\n") ==
        "Received: by us\r\nMessage-ID: <m>\r\n" + ours);
  const std::string defect = "Message-ID: <m>\r\nThis is no field\r\n\r\nBody\r\n";
  const mail::Outgoing out = cooked(defect, test_list(), "", "");
  CHECK(out.head == "Message-ID: <m>\r\n" + ours);
  CHECK(defect.substr(out.body.at(0).offset) == "This is no field\r\n\r\nBody\r\n");
}

TEST_CASE("cook: List-Id with a description, addresses that a URL must escape") {
  List list = test_list();
  list.settings.description = "All about tests, \"quoted\"";
  CHECK(list_fields(list).starts_with(
      "List-Id: \"All about tests, \\\"quoted\\\"\"\r\n <test.lists.example.com>\r\n"));
  list.local = "a%b&c+d";
  CHECK(list_fields(list).find("List-Post: <mailto:a%25b%26c%2Bd@lists.example.com>\r\n") !=
        std::string::npos);
}

TEST_CASE("phrase: words, quoted, encoded") {
  CHECK(mail::phrase("") == "");
  CHECK(mail::phrase("  All about tests ") == "All about tests");
  CHECK(mail::phrase("a, b") == "\"a, b\"");
  CHECK(mail::phrase("a\\\"b") == "\"a\\\\\\\"b\"");
  CHECK(mail::phrase("T\xc3\xa9st list") == "=?utf-8?q?T=C3=A9st_list?=");
  CHECK(mail::phrase("=?x") == "=?utf-8?q?=3D=3Fx?=");
  std::string all;
  for (int i = 0; i < 60; ++i) all += "\xc3\xa9";
  std::string folded = mail::phrase(all) + "\r\n ";
  for (std::size_t at = 0, end; at < folded.size(); at = end + 3) {
    end = folded.find("\r\n ", at);
    std::string_view word = std::string_view(folded).substr(at, end - at);
    CHECK(word.size() <= 75);
    CHECK((word.size() - 12) % 6 == 0);  // whole characters
  }
}

// tests/protocol/list/data/mailman_headers.json: posts and the fields Mailman 3.3.8 sent for them (without
// those it adds for itself). `differs` lists, by hand, each difference on purpose: "-" what Mailman has and
// we have not, "+" the other way.
TEST_CASE("cook: beside Mailman 3.3.8") {
  std::ifstream file(source_dir() + "/tests/protocol/list/data/mailman_headers.json");
  const auto cases = nlohmann::json::parse(file);
  REQUIRE(cases.size() >= 20);
  for (const auto& one : cases) {
    const std::string id = one["id"].get<std::string>() + " " + one["title"].get<std::string>();
    CAPTURE(id);
    const std::string post = latin1(one["post"]);
    List list = test_list();
    list.settings.description = one["description"];
    std::vector<std::string> we = fields(cooked(post, list, "", "").head), they;
    for (const auto& field : one["mailman"]) they.push_back(fields(latin1(field) + "\r\n\r\n").at(0));
    for (auto& field : they)
      if (field.starts_with("subject: [Test] ")) field.erase(9, 7);  // its default prefix
    auto sent = fields(post);
    std::erase_if(they, [&](const std::string& field) {  // its default footer rewrites MIME fields
      return (field.starts_with("mime-version:") || field.starts_with("content-")) &&
             !std::count(sent.begin(), sent.end(), field);
    });
    std::erase_if(we,
                  [](const std::string& field) { return field == "x-beenthere: test@lists.example.com"; });
    std::sort(they.begin(), they.end());
    std::vector<std::string> missing, added, expected;
    std::set_difference(they.begin(), they.end(), we.begin(), we.end(), std::back_inserter(missing));
    std::set_difference(we.begin(), we.end(), they.begin(), they.end(), std::back_inserter(added));
    std::vector<std::string> differs;
    for (const auto& field : missing) differs.push_back("- " + field);
    for (const auto& field : added) differs.push_back("+ " + field);
    for (const auto& line : one["differs"]) expected.push_back(latin1(line["what"]));
    std::string shown;
    for (const auto& line : differs) shown += line + "\n";
    INFO(shown);
    CHECK((differs == expected));
  }
}

TEST_CASE("cook: reply_to stands in front of whom the post's own Reply-To names, and names nobody twice") {
  const auto reply_to = [](std::string_view fields, ReplyTo to = ReplyTo::list) {
    List list = test_list();
    list.settings.reply_to = to;
    list.settings.reply_to_address = "answers@lists.example.com";
    const std::string post = std::string(fields) + "\r\n", head = cooked(post, list, "", "").head;
    const auto header = mail::Header::scan(head);
    return header->find("Reply-To") == nullptr ? std::string()
                                               : mail::unfolded(header->find("Reply-To")->value);
  };
  CHECK(reply_to("From: Anna <anna@a.example>\r\n") == "test@lists.example.com");
  CHECK(reply_to("Reply-To: Home <anna@home.example>\r\n") ==
        "test@lists.example.com, Home <anna@home.example>");
  CHECK(reply_to("Reply-To: Test <TEST@lists.example.com>,\r\n anna@home.example\r\n") ==
        "test@lists.example.com, anna@home.example");
  CHECK(reply_to("Reply-To: no address\r\n") == "test@lists.example.com");
  CHECK(reply_to("Reply-To: test@lists.example.com\r\n", ReplyTo::address) ==
        "answers@lists.example.com, test@lists.example.com");
  CHECK(reply_to("Reply-To: x@y.example\r\n", ReplyTo::poster) == "x@y.example");
}
