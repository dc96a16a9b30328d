#include <doctest/doctest.h>

#include <string>

#include "protocol/bounce/complaint.hpp"
#include "protocol/list/sender_forms.hpp"
#include "protocol/mail/date.hpp"

using namespace spoold;

namespace {

std::string arf(const std::string& fields, const std::string& type, const std::string& post) {
  return "From: <abusedesk@provider.example>\nSubject: FW: [Test] Hello\nMIME-Version: 1.0\n"
         "Content-Type: multipart/report; report-type=feedback-report; boundary=\"part1\"\n\n"
         "--part1\nContent-Type: text/plain\n\nThis is an email abuse report for a message received.\n\n"
         "--part1\nContent-Type: message/feedback-report\n\n" +
         fields + "\n--part1\nContent-Type: " + type + "\nContent-Disposition: inline\n\n" + post +
         "\n--part1--\n";
}

const std::string post =
    "Return-Path: <test-bounces+anne=north.example@lists.example>\nReceived: from mx.lists.example by "
    "mx.provider.example\n"
    "From: Bert <bert@b.example>\nTo: test@lists.example\nList-Post: <mailto:test@lists.example>\n"
    "Subject: [Test] Hello\n\nHello.\n";

}  // namespace

TEST_CASE("complaints: the addresses of the returned copy that may hold a tag of ours") {
  const auto complaint = bounce::scan_complaint(arf(
      "Feedback-Type: abuse\nOriginal-Mail-From: <test-bounces+b=abc@lists.example>\n", "text/rfc822-headers",
      "Return-Path: <test-bounces+b=abc@lists.example>\nFrom: bert@b.example\n"
      "List-Unsubscribe: <https://lists.example/x>,\n "
      "<MAILTO:test-leave%2Bxyz@lists.example?subject=leave>,\n"
      " <mailto:50%@x.example>, <mailto:>\n"));
  REQUIRE(complaint);
  CHECK(complaint->tagged == std::vector<std::string>{"test-bounces+b=abc@lists.example",
                                                      "test-leave+xyz@lists.example", "50%@x.example"});
  std::string many;
  for (int i = 0; i < 100; ++i) many += "List-Unsubscribe: <mailto:a" + std::to_string(i) + "@x.example>\n";
  CHECK(bounce::scan_complaint(arf("Feedback-Type: abuse\n", "text/rfc822-headers", many))->tagged.size() ==
        8);
}

TEST_CASE("complaints: a report in the Abuse Reporting Format (RFC 5965)") {
  const auto complaint = bounce::scan_complaint(
      arf("Feedback-Type: Abuse\nUser-Agent: SomeGenerator/1.0\nVersion: 1\n"
          "Original-Mail-From: <test-bounces+anne=north.example@lists.example>\n"
          "Original-Rcpt-To: <anne@north.example>\nArrival-Date: Thu, 8 Mar 2026 14:00:00 -0500 (EST)\n"
          "Reporting-MTA: dns; mail.provider.example\nSource-IP: 192.0.2.1\nAuthentication-Results: "
          "provider.example; spf=pass\n",
          "message/rfc822", post));
  REQUIRE(complaint);
  CHECK(complaint->feedback_type == "abuse");
  CHECK(complaint->original_recipient == "anne@north.example");
  CHECK(complaint->member == "anne@north.example");
  CHECK(complaint->list == "test@lists.example");
  CHECK(complaint->source_ip == "192.0.2.1");
  REQUIRE(complaint->arrived);
  CHECK(rfc3339(*complaint->arrived) == "2026-03-08T19:00:00.000Z");
}

TEST_CASE("complaints: the member comes from the returned post where the report withholds him") {
  const std::string fields =
      "Feedback-Type: abuse\nUser-Agent: x\nVersion: 0.1\nOriginal-Rcpt-To: <redacted>\n";
  for (const char* type : {"message/rfc822", "text/rfc822-headers", "message/rfc822-headers"}) {
    CAPTURE(type);
    const auto complaint = bounce::scan_complaint(arf(fields, type, post));
    REQUIRE(complaint);
    CHECK(complaint->original_recipient == "");
    CHECK(complaint->member == "anne@north.example");
    CHECK(complaint->list == "test@lists.example");
    CHECK(!complaint->arrived);
  }
}

TEST_CASE("complaints: never by To; a bulk copy names the list and nobody") {
  const std::string bulk =
      "Return-Path: <test-bounces@lists.example>\nFrom: bert@b.example\nTo: anne@north.example\nSubject: "
      "Hello\n\nHello.\n";
  const auto complaint =
      bounce::scan_complaint(arf("Feedback-Type: abuse\nVersion: 1\n", "message/rfc822", bulk));
  REQUIRE(complaint);
  CHECK(complaint->member == "");
  CHECK(complaint->list == "test@lists.example");
}

TEST_CASE("complaints: Microsoft's form") {
  const auto complaint = bounce::scan_complaint(
      "From: staff@hotmail.com\nSubject: complaint about message from 192.0.2.1\nMIME-Version: 1.0\n"
      "Content-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: message/rfc822\n\n"
      "X-HmXmrOriginalRecipient: <anne@hotmail.example>\n" +
      post + "\n--m--\n");
  REQUIRE(complaint);
  CHECK(complaint->feedback_type == "abuse");
  CHECK(complaint->original_recipient == "anne@hotmail.example");
  CHECK(complaint->member == "anne@north.example");
}

TEST_CASE("complaints: other mail is none") {
  CHECK(!bounce::scan_complaint(post));
  CHECK(!bounce::scan_complaint(""));
  const std::string complaint = arf("Feedback-Type: abuse\nVersion: 1\n", "message/rfc822", post);
  CHECK(!bounce::scan_complaint(
      "From: anne@north.example\nSubject: Fwd: complaint\nMIME-Version: 1.0\nContent-Type: "
      "multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n\n" +
      complaint + "\n--x--\n"));
  CHECK(!bounce::scan_complaint("From: anne@north.example\nSubject: hello\n\nFeedback-Type: abuse\n"));
}

TEST_CASE("envelope senders of other list managers are read") {
  const auto read = [](const char* sender) {
    const auto copy = list::sender_of_copy(sender);
    return copy ? copy->list + " " + copy->member : std::string("none");
  };
  CHECK(read("test-bounces+anne=north.example@lists.example") == "test@lists.example anne@north.example");
  CHECK(read("Test-Bounces+Anne=North.example@Lists.example") == "test@lists.example Anne@north.example");
  CHECK(read("test-bounces+srs0=abc=def=x.example@lists.example") ==
        "test@lists.example srs0=abc=def@x.example");
  CHECK(read("test-bounces@lists.example") == "test@lists.example ");
  CHECK(read("test+bounces-17-anne=north.example@lists.example") == "test@lists.example anne@north.example");
  CHECK(read("test-return-17-anne=north.example@lists.example") == "test@lists.example anne@north.example");
  CHECK(read("test-return-warn-1139723231.abc-anne=north.example@lists.example") ==
        "test@lists.example anne@north.example");
  CHECK(read("bounce+anne==a==north.example==test@lists.example") == "test@lists.example anne@north.example");
  CHECK(read("bounce+anne==a==north.example==test==w@lists.example") ==
        "test@lists.example anne@north.example");
  CHECK(read("owner-test+anne=north.example@lists.example") == "test@lists.example anne@north.example");
  CHECK(read("anne@north.example") == "none");
  CHECK(read("") == "none");
}

TEST_CASE("dates of headers are read (RFC 5322 3.3)") {
  const auto read = [](const char* text) {
    const auto at = mail::read_date(text);
    return at ? rfc3339(*at) : std::string("none");
  };
  CHECK(read("Tue, 1 Jul 2003 10:52:37 +0200") == "2003-07-01T08:52:37.000Z");
  CHECK(read("1 Jul 2003 10:52 +0200") == "2003-07-01T08:52:00.000Z");
  CHECK(read("Tue,  1 Jul 2003 10:52:37 EST") == "2003-07-01T15:52:37.000Z");
  CHECK(read("Tue, 1 Jul 03 10:52:37 GMT (comment)") == "2003-07-01T10:52:37.000Z");
  CHECK(read("Tue, 1 Jul 2003 25:52:37 GMT") == "none");
  CHECK(read("31 Feb 2003 10:00:00 GMT") == "none");
  CHECK(read("yesterday") == "none");
}
