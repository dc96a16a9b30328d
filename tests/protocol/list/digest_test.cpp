#include "protocol/list/digest.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "protocol/list/personal.hpp"
#include "protocol/mime/parts.hpp"

using namespace spoold;
using namespace spoold::list;

namespace {

List the_list() {
  List list;
  list.local = "test";
  list.domain = "lists.example";
  list.settings.description = "About tests";
  list.settings.footer = "-- \n$list_name for $user_name\n";
  return list;
}

DigestIssue the_issue() {
  DigestIssue issue;
  issue.volume = 3;
  issue.issue = 12;
  issue.at = TimePoint(Duration(1'790'000'000'000));
  issue.unique = "u";
  issue.message_id = "<u.digest@mx.example>";
  return issue;
}

std::vector<DigestPost> posts() {
  return {{7,
           "Received: x\r\nFrom: Anna <anna@x.example>\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nX-Other: "
           "y\r\n\r\nOne.\r\n"},
          {8,
           "From: bert@x.example\r\nSubject: Two\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
           "charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n" +
               std::string(30, '-') + "\r\n"},
          {9,
           "From: c@x.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; "
           "boundary=b\r\n\r\n--b\r\n\r\nText.\r\n--b\r\n"
           "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n"}};
}

}  // namespace

TEST_CASE(
    "digest: with one_click List-Unsubscribe has a blank for each member's own address, and nothing else "
    "differs") {
  List list = the_list();
  const Digest plain = digest(list, the_issue(), posts(), DigestForm::plain);
  CHECK(plain.more.empty());
  list.settings.one_click = true;
  const Digest made = digest(list, the_issue(), posts(), DigestForm::plain);
  REQUIRE(made.more.size() == 2);
  CHECK(made.head.ends_with("List-Unsubscribe: <"));
  CHECK(made.more[0].text.empty());
  CHECK(made.more[0].blank == blank(Value::leave_url));
  CHECK(made.more[1].blank == 0);
  CHECK(made.head + "mailto:test-leave@lists.example" + made.more[1].text == plain.head);
  CHECK(made.body == plain.body);
}

TEST_CASE("digest: the MIME form") {
  const Digest made = digest(the_list(), the_issue(), posts(), DigestForm::mime);
  CHECK(made.head.find("Subject: Test Digest, Vol 3, Issue 12\r\n") != std::string::npos);
  CHECK(made.head.find("List-Unsubscribe: <mailto:test-leave@lists.example>\r\n") != std::string::npos);
  const std::string whole = made.head + made.body;
  const auto parts = mime::parts_of(whole);
  REQUIRE(parts);
  std::vector<std::string> types;
  for (const mime::Part& part : *parts) types.push_back(part.type);
  CHECK(types == std::vector<std::string>{"multipart/mixed", "text/plain", "multipart/digest",
                                          "message/rfc822", "text/plain", "message/rfc822", "text/plain",
                                          "message/rfc822", "multipart/mixed", "text/plain", "image/png",
                                          "text/plain"});
  const mime::Part& contents = (*parts)[1];
  const std::string table = whole.substr(contents.body, contents.end - contents.body);
  CHECK(
      table.find("Today's topics:\r\n\r\n   1. Caf\xc3\xa9 (Anna)\r\n   2. Two (bert@x.example)\r\n   3. (no "
                 "subject) (c@x.example)\r\n") != std::string::npos);
  // A post: fields that a reader needs, its body as it came.
  const mime::Part& first = (*parts)[4];
  CHECK(whole.substr(first.begin, first.end - first.begin) ==
        "From: Anna <anna@x.example>\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nMessage: 1\r\n\r\nOne.\r\n");
  const mime::Part& last = parts->back();
  CHECK(whole.substr(last.body, last.end - last.body) == "-- \r\ntest for $user_name\r\n");
}

TEST_CASE("digest: the plain form (RFC 1153)") {
  const Digest made = digest(the_list(), the_issue(), posts(), DigestForm::plain);
  const std::string& text = made.body;
  const std::string between = "\r\n" + std::string(30, '-') + "\r\n\r\n";
  CHECK(text.find("\r\n" + std::string(70, '-') +
                  "\r\n\r\nFrom: Anna <anna@x.example>\r\nSubject: Caf\xc3\xa9\r\nMessage: "
                  "1\r\n\r\nOne.\r\n" +
                  between + "From: bert@x.example\r\n") != std::string::npos);
  // Text of another charset, and a line that would look like the end of a post.
  CHECK(text.find("Gr\xc3\xbc\xc3\x9f"
                  "e\r\n " +
                  std::string(30, '-') + "\r\n" + between) != std::string::npos);
  CHECK(text.find("Text.\r\n[image/png: not shown here]\r\n" + between) != std::string::npos);
  CHECK(text.ends_with("End of Test Digest, Vol 3, Issue 12\r\n" + std::string(35, '*') + "\r\n"));
}

TEST_CASE("digest: a post cannot end its part") {
  // Whoever foresees the boundary is not believed.
  std::vector<DigestPost> all = posts();
  const std::string boundary = "=_spoold.u.posts";
  all.push_back({10, "From: e@x.example\r\n\r\n--" + boundary + "--\r\nmore\r\n"});
  const Digest made = digest(the_list(), the_issue(), all, DigestForm::mime);
  CHECK(made.body.find("boundary=\"" + boundary + "1\"") != std::string::npos);
  const std::string whole = made.head + made.body;
  const auto parts = mime::parts_of(whole);
  REQUIRE(parts);
  CHECK(std::ranges::count(*parts, "message/rfc822", &mime::Part::type) == 4);
}

TEST_CASE("digest: when one is due, and what begins a volume") {
  using std::chrono::hours;
  DigestRules rules;
  const TimePoint noon(Duration(1'790'000'000'000));
  CHECK_FALSE(digest_due(rules, 100, noon, noon + hours(23)));
  CHECK(digest_due(rules, 100, noon, noon + hours(24)));
  CHECK(digest_due(rules, 30 << 10, noon, noon));
  rules.every = {};
  CHECK_FALSE(digest_due(rules, 100, noon, noon + hours(24 * 365)));
  rules.size = 0;
  CHECK_FALSE(digest_due(rules, 1 << 30, noon, noon));
  CHECK(month_of(noon) + 1 == month_of(noon + hours(24 * 20)));
  CHECK(month_of(noon) == month_of(noon + hours(1)));
}
