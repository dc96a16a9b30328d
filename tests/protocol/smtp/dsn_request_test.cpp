#include "protocol/smtp/dsn_request.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "protocol/smtp/command.hpp"

using namespace spoold;
using namespace spoold::smtp;

TEST_CASE("DSN: the parameters of MAIL, kept as they came") {
  const auto mail = parse_mail("FROM:<a@b.example> ret=hdrs SIZE=10 EnvId=QQ+2B1;x");
  REQUIRE(mail);
  CHECK(mail->dsn.ret == Ret::headers);
  CHECK(mail->dsn.envid == "QQ+2B1;x");
  CHECK(parse_mail("FROM:<> RET=FULL")->dsn.ret == Ret::full);
  CHECK_FALSE(parse_mail("FROM:<>")->dsn.given());
  CHECK(parse_mail("FROM:<> ENVID=" + std::string(100, 'x'))->dsn.envid.size() == 100);
}

TEST_CASE("DSN: the parameters of RCPT, kept as they came") {
  const auto rcpt = parse_rcpt("TO:<a@b.example> NOTIFY=success,DELAY ORCPT=rfc822;Bob+40Example.COM");
  REQUIRE(rcpt);
  CHECK(rcpt->dsn.notify == (notify_success | notify_delay));
  CHECK(rcpt->dsn.orcpt == "rfc822;Bob+40Example.COM");
  CHECK(parse_rcpt("TO:<postmaster> NOTIFY=NEVER")->dsn.notify == notify_never);
  CHECK(parse_rcpt("TO:<a@b.example> NOTIFY=FAILURE,FAILURE")->dsn.notify == notify_failure);
  CHECK(parse_rcpt("TO:<a@b.example> ORCPT=utf-8;j\\x{F6}rg@example.net")->dsn.orcpt ==
        "utf-8;j\\x{F6}rg@example.net");
  CHECK_FALSE(parse_rcpt("TO:<a@b.example>")->dsn.given());
  CHECK(parse_rcpt("TO:<a@b.example> ORCPT=rfc822;" + std::string(493, 'x')));
}

TEST_CASE("DSN: what is wrong is 501 5.5.4") {
  const auto wrong = [](const Reply& reply) { return reply.code == 501 && reply.enhanced.text() == "5.5.4"; };
  for (const std::string bad :
       {"RET", "RET=", "RET=BODY", "RET=FULL RET=FULL", "ENVID", "ENVID=", "ENVID=a ENVID=b", "ENVID=a=b",
        "ENVID=a+", "ENVID=a+4", "ENVID=+2b", "ENVID=+0D+0A", "ENVID=+FF", "ENVID=\x7f", "ENVID=\xc3\xa4"}) {
    CAPTURE(bad);
    const auto parsed = parse_mail("FROM:<a@b.example> " + bad);
    REQUIRE_FALSE(parsed);
    CHECK(wrong(parsed.error()));
  }
  CHECK(wrong(parse_mail("FROM:<> ENVID=" + std::string(101, 'x')).error()));
  for (const std::string bad :
       {"NOTIFY", "NOTIFY=", "NOTIFY=ALWAYS", "NOTIFY=NEVER,SUCCESS", "NOTIFY=FAILURE,NEVER", "NOTIFY=,DELAY",
        "NOTIFY=DELAY,", "NOTIFY=DELAY NOTIFY=DELAY", "ORCPT", "ORCPT=", "ORCPT=a@b.example", "ORCPT=;a@b",
        "ORCPT=rfc822;", "ORCPT=rfc822;a+b", "ORCPT=rfc822;a=b", "ORCPT=a(b;c", "ORCPT=rfc822;+0A",
        "ORCPT=rfc822;a ORCPT=rfc822;a"}) {
    CAPTURE(bad);
    const auto parsed = parse_rcpt("TO:<a@b.example> " + bad);
    REQUIRE_FALSE(parsed);
    CHECK(wrong(parsed.error()));
  }
  CHECK(wrong(parse_rcpt("TO:<a@b.example> ORCPT=rfc822;" + std::string(494, 'x')).error()));
}

TEST_CASE("DSN: who wants what") {
  DsnOfRecipient dsn;
  CHECK((dsn.wants_failure() && dsn.wants_delay() && !dsn.wants_success()));
  dsn.notify = notify_never;
  CHECK_FALSE((dsn.wants_failure() || dsn.wants_delay() || dsn.wants_success()));
  dsn.notify = notify_failure;
  CHECK((dsn.wants_failure() && !dsn.wants_delay() && !dsn.wants_success()));
  CHECK(without_success(notify_success) == notify_never);
  CHECK(without_success(notify_success | notify_delay) == notify_delay);
  CHECK(without_success(0) == 0);
}

TEST_CASE("DSN: what is written is what was read") {
  rc::check([] {
    DsnOfMessage message;
    message.ret = *rc::gen::element(Ret::absent, Ret::full, Ret::headers);
    DsnOfRecipient recipient;
    recipient.notify = *rc::gen::element<std::uint8_t>(0, 1, 2, 4, 6, 8, 14);
    const auto address = *rc::gen::container<std::string>(rc::gen::inRange<char>(' ', '~'));
    if (!address.empty() && address.size() < 150) append_orcpt(recipient.orcpt, address);
    std::string mail = "FROM:<>", rcpt = "TO:<a@b.example>";
    append_parameters(mail, message);
    append_parameters(rcpt, recipient);
    RC_ASSERT(parse_mail(mail)->dsn == message);
    RC_ASSERT(parse_rcpt(rcpt)->dsn == recipient);
    if (!recipient.orcpt.empty()) RC_ASSERT(decode_xtext(recipient.orcpt) == "rfc822;" + address);
  });
}

TEST_CASE("DSN: a member's address as ORCPT") {
  const auto member = [](const std::string& address) {
    std::string out = "RCPT";
    append_member_parameters(out, address);
    return out;
  };
  CHECK(member("a+b=c@d.example") == "RCPT NOTIFY=FAILURE ORCPT=rfc822;a+2Bb+3Dc@d.example");
  CHECK(member("\"a b\"@d.example") == "RCPT NOTIFY=FAILURE ORCPT=rfc822;\"a+20b\"@d.example");
  CHECK(member("j\xc3\xb6rg+\xf0\x9f\x90\x88@d") ==
        "RCPT NOTIFY=FAILURE ORCPT=utf-8;j\\x{F6}rg\\x{2B}\\x{1F408}@d");
  CHECK(member(std::string(250, '=') + "@d") == "RCPT NOTIFY=FAILURE");
}
