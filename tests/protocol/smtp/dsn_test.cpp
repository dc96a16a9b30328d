#include "protocol/smtp/dsn.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/utf8.hpp"
#include "tests/source_dir.hpp"

using namespace spoold;
using namespace spoold::smtp;

namespace {

const TimePoint noon{std::chrono::milliseconds(1795348800000)};

Dsn::Recipient refused(std::string address, smtp::Reply reply, Stage stage = Stage::rcpt) {
  Dsn::Recipient r;
  r.address = std::move(address);
  r.last.reply = std::move(reply);
  r.last.remote = "mx1.example.net[192.0.2.1]:25";
  r.last.at = noon;
  r.last.stage = stage;
  return r;
}

Dsn report(std::vector<Dsn::Recipient> failed) {
  Dsn r;
  r.reporting_mta = "lists.example.org";
  r.to = "anne@example.org";
  r.queue_id = "01ABCDEFG";
  r.original = "From: Anne <anne@example.org>\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\r\nthe body\r\n";
  r.arrived = noon - std::chrono::hours(1);
  r.now = noon;
  r.recipients = std::move(failed);
  return r;
}

// Compares with tests/protocol/smtp/dsn/NAME.eml; SPOOLD_WRITE_GOLDEN=1 writes it anew.
void golden(const std::string& name, const std::string& text) {
  const std::string path = source_dir() + "/tests/protocol/smtp/dsn/" + name + ".eml";
  if (std::getenv("SPOOLD_WRITE_GOLDEN") != nullptr) std::ofstream(path, std::ios::binary) << text;
  std::ostringstream expected;
  expected << std::ifstream(path, std::ios::binary).rdbuf();
  CHECK(text == expected.str());
}

}  // namespace

TEST_CASE("a report on one refused recipient") {
  golden("refused",
         write(report({refused("bart@example.net", {550, {5, 1, 1}, "no such user\nask the postmaster"})})));
}

TEST_CASE("one report for all recipients of a message, one of them expired") {
  Dsn::Recipient expired;
  expired.address = "cris@example.com";
  expired.last.reply.text = "connection closed while waiting for the reply to RCPT TO";
  expired.last.remote = "mx.example.com[2001:db8::1]:25";
  expired.last.at = noon;
  expired.last.stage = Stage::rcpt;
  expired.expired = true;
  golden("two",
         write(report({refused("bart@example.net", {554, {}, "we do not want this"}, Stage::dot), expired})));
}

TEST_CASE("a UTF-8 address is written in ASCII, to a UTF-8 reader as it is, in the type of RFC 6533") {
  golden("utf8",
         write(report({refused("j\xc3\xb6rg@example.net", {553, {5, 6, 7}, "the address needs SMTPUTF8"})})));
  Dsn r = report({refused("j\xc3\xb6rg@example.net", {550, {5, 1, 1}, "no"})});
  r.to = "\xc3\xa5sa@example.org";
  const std::string text = write(r);
  CHECK(text.find("\r\nContent-Type: message/global-delivery-status\r\n") != std::string::npos);
  CHECK(text.find("\r\nFinal-Recipient: utf-8; j\xc3\xb6rg@example.net\r\n") != std::string::npos);
}

TEST_CASE("a peer's words and a sender's header cannot forge a field or end a part") {
  auto r = report(
      {refused("a@b", {550, {}, "no\r\n\r\n--=_01ABCDEFG_0\r\nFinal-Recipient: rfc822; evil@example"})});
  r.original =
      "Subject: --=_01ABCDEFG_0\r\nX: " + std::string(2000, 'x') + "\r\n--=_01ABCDEFG_0--\r\n\r\nbody";
  const std::string text = write(r);
  CHECK(text.find("boundary=\"=_01ABCDEFG_1\"") != std::string::npos);
  CHECK(text.find("\r\nFinal-Recipient: rfc822; evil") == std::string::npos);
  CHECK(text.find("body") == std::string::npos);
  for (std::size_t at = 0, end = 0; (end = text.find("\r\n", at)) != std::string::npos; at = end + 2)
    CHECK(end - at <= 998);
}

TEST_CASE("a peer's 8-bit words: message/delivery-status is 7bit, and the part for people is UTF-8") {
  for (const std::string words : {"unbekannter Empf\xc3\xa4nger", "unbekannter Empf\xe4nger"}) {
    const std::string text = write(report({refused("a@b", {550, {5, 1, 1}, words})}));
    const std::size_t status = text.find("Content-Type: message/delivery-status");
    REQUIRE(status != std::string::npos);
    const std::string part = text.substr(status, text.find("\r\n--=_", status) - status);
    CHECK(mail::is_ascii(part));
    CHECK(part.find("8bit") == std::string::npos);
    CHECK(part.find("Diagnostic-Code: smtp; 550 5.1.1 unbekannter Empf\\x") != std::string::npos);
    CHECK(mail::is_utf8(text));
  }
}

TEST_CASE("a status for every failure, always of class 5") {
  CHECK(status_of(refused("a@b", {550, {5, 7, 1}, ""})) == "5.7.1");
  // "554 spam" is no unknown mailbox: other list servers unsubscribe on 5.1.1.
  CHECK(status_of(refused("a@b", {550, {}, ""})) == "5.0.0");
  CHECK(status_of(refused("a@b", {554, {}, "spam"}, Stage::mail)) == "5.0.0");
  CHECK(status_of(refused("a@b", {556, {}, ""})) == "5.1.10");
  CHECK(status_of(refused("a@b", {552, {}, ""})) == "5.2.2");
  CHECK(status_of(refused("a@b", {552, {}, ""}, Stage::dot)) == "5.3.4");
  auto expired = refused("a@b", {450, {4, 2, 0}, ""});
  expired.expired = true;
  CHECK(status_of(expired) == "5.4.7");
}

namespace {

Dsn::Recipient told(std::string address, DsnAction action, smtp::Reply reply = {}) {
  Dsn::Recipient r = refused(std::move(address), std::move(reply), Stage::dot);
  r.action = action;
  return r;
}

}  // namespace

TEST_CASE("everything that RFC 3464 has a field for") {
  auto bart = refused("bart@example.net", {550, {5, 1, 1}, "no such user"});
  bart.orcpt = "rfc822;The+2BBoss@example.org";
  Dsn r = report({bart, told("cris@example.net", DsnAction::relayed, {250, {2, 0, 0}, "queued"}),
                  told("staff@example.org", DsnAction::expanded),
                  told("list@example.org", DsnAction::delivered)});
  r.envid = "QQ314159+20a+3Db";
  r.received_from = "client.example.org";
  r.original = "Subject: x\r\n\r\nthe body\r\n";
  r.whole = true;
  golden("all", write(r));
}

TEST_CASE("a delay says until when it will be tried") {
  Dsn::Recipient waits = told("bart@example.net", DsnAction::delayed);
  waits.last = {};
  waits.last.reply.text = "cannot connect to mx1.example.net[192.0.2.1]:25: Connection refused";
  waits.last.stage = Stage::connect;
  Dsn r = report({waits, told("cris@example.net", DsnAction::delayed, {451, {4, 7, 1}, "greylisted"})});
  r.retry_until = noon + std::chrono::hours(100);
  golden("delayed", write(r));
}

TEST_CASE("a report that could not be delivered reads as one to the postmaster") {
  Dsn r = report({refused("anne@example.org", {550, {5, 1, 1}, "no such user"})});
  r.of_report = true;
  r.to = "postmaster@lists.example.org";
  const std::string text = write(r);
  CHECK(text.find("Subject: Report that could not be delivered\r\n") != std::string::npos);
  CHECK(text.find("Your message") == std::string::npos);
}

TEST_CASE("what is returned: RET, and a limit") {
  using smtp::Ret;
  CHECK(returns_whole(Ret::absent, 50 << 10));
  CHECK_FALSE(returns_whole(Ret::absent, (50 << 10) + 1));
  CHECK(returns_whole(Ret::full, 256 << 10));
  CHECK_FALSE(returns_whole(Ret::full, (256 << 10) + 1));
  CHECK_FALSE(returns_whole(Ret::headers, 10));
}

TEST_CASE("a status of the class that the action has") {
  CHECK(status_of(told("a@b", DsnAction::relayed, {250, {2, 1, 5}, ""})) == "2.1.5");
  CHECK(status_of(told("a@b", DsnAction::delivered)) == "2.0.0");
  CHECK(status_of(told("a@b", DsnAction::delayed, {451, {4, 7, 1}, ""})) == "4.7.1");
  CHECK(status_of(told("a@b", DsnAction::delayed, {451, {}, ""})) == "4.0.0");
  CHECK(status_of(told("a@b", DsnAction::delayed)) == "4.4.2");
}
