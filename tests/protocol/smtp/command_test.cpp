#include "protocol/smtp/command.hpp"

#include <doctest/doctest.h>

using namespace spoold::smtp;

TEST_CASE("command: verbs without regard to case, argument trimmed") {
  CHECK(split("MAIL FROM:<a@b.example>").verb == Verb::mail);
  CHECK(split("rCpT  TO:<a@b.example>  ").argument == "TO:<a@b.example>");
  CHECK(split("QUIT").argument.empty());
  CHECK(split("STARTTLS").verb == Verb::starttls);
  CHECK(split("ETRN").verb == Verb::elsewhere);
  CHECK(split("bdat 5").verb == Verb::bdat);
  CHECK(split("").verb == Verb::unknown);
  CHECK(split("DATAX").verb == Verb::unknown);
  CHECK(split(" DATA").verb == Verb::unknown);
}

TEST_CASE("command: MAIL takes senders that real mail comes from, though RFC 5321 has no such address") {
  for (const std::string local : {"a..b", "a.", ".a", "a...b."}) {
    const auto mail = parse_mail("FROM:<" + local + "@docomo.example> SIZE=7");
    REQUIRE(mail);
    CHECK(mail->reverse_path->local() == local);
    CHECK(mail->reverse_path->text() == "\"" + local + "\"@docomo.example");
    CHECK(mail->size == 7);
    CHECK(parse_rcpt("TO:<" + local + "@docomo.example>").error().code == 501);
  }
  CHECK(parse_mail("FROM:<a@mail_1.example>")->reverse_path->domain() == "mail_1.example");
  CHECK(parse_mail("FROM:<a b.@c.example>").error().code == 501);
  CHECK(parse_mail("FROM:<a..b@>").error().code == 501);
}

TEST_CASE("command: MAIL") {
  const auto plain = parse_mail("FROM:<anne@Example.ORG>");
  REQUIRE(plain);
  REQUIRE(plain->reverse_path);
  CHECK(plain->reverse_path->text() == "anne@example.org");
  const auto null = parse_mail("from:<> SIZE=1000 BODY=8BITMIME");
  REQUIRE(null);
  CHECK_FALSE(null->reverse_path);
  CHECK(null->size == 1000);
  CHECK(null->eight_bit);
  CHECK(parse_mail("FROM:<> SIZE=99999999999999999999")->size == UINT64_MAX);  // RFC 1870 3: 20 digits
  CHECK(parse_mail("FROM: <a@b.example> body=7bit")->eight_bit == false);
  CHECK(parse_mail("FROM:<@x.example,@y.example:a@b.example>")->reverse_path->text() == "a@b.example");
  CHECK(parse_mail("FROM:<\"a>b\"@c.example>")->reverse_path->local() == "a>b");
}

TEST_CASE("command: what is wrong with MAIL") {
  const auto code = [](std::string_view argument) {
    const auto parsed = parse_mail(argument);
    REQUIRE_FALSE(parsed);
    return parsed.error().code * 1000 + parsed.error().enhanced.subject * 100 +
           parsed.error().enhanced.detail;
  };
  for (const char* bad :
       {"", "FROM", "FROM:", "FROM:a@b.example", "TO:<a@b.example>", "FROM:<a@b.example",
        "FROM:<a@b.example>x", "FROM:<@x.example>", "FROM:<@x.example:>", "FROM:<> SIZE=", "FROM:<> SIZE=x",
        "FROM:<> SIZE=1 SIZE=1", "FROM:<> SIZE=99999999999999999999999", "FROM:<> SIZE=-1",
        "FROM:<> BODY=9BIT", "FROM:<> BODY", "FROM:<> BODY=7BIT BODY=7BIT"}) {
    CAPTURE(bad);
    CHECK(code(bad) == 501504);
  }
  CHECK(code("FROM:<a>") == 501107);
  CHECK(code("FROM:<a@b..c>") == 501107);
  CHECK(code("FROM:<\xc3\xa4@b.example>") == 550607);
  CHECK(code("FROM:<a@\xe2\x80\xae.example> SMTPUTF8") == 501107);
  CHECK(code("FROM:<> AUTH=<>") == 555504);
  CHECK(code("FROM:<> BODY=BINARYMIME BODY=BINARYMIME") == 501504);
  CHECK(code("FROM:<> REQUIRETLS") == 530710);
  CHECK(code("FROM:<> REQUIRETLS=1") == 501504);
}

TEST_CASE("command: what MAIL says of content and transport") {
  const auto binary = parse_mail("FROM:<> body=BinaryMime");
  CHECK((binary->binary && binary->eight_bit));
  const PathRules secure{.tls = true};
  CHECK(parse_mail("FROM:<a@b.example> requiretls SIZE=1", secure)->require_tls);
  CHECK_FALSE(parse_mail("FROM:<a@b.example>", secure)->require_tls);
  CHECK(parse_mail("FROM:<> REQUIRETLS REQUIRETLS", secure).error().text == "REQUIRETLS given twice");
  CHECK_FALSE(parse_rcpt("TO:<a@b.example> REQUIRETLS", secure));
}

TEST_CASE("command: RCPT") {
  CHECK(parse_rcpt("TO:<a@b.example>")->forward_path->text() == "a@b.example");
  CHECK_FALSE(parse_rcpt("TO:<PostMaster>")->forward_path);
  CHECK(parse_rcpt("TO:<>").error().code == 501);
  CHECK(parse_rcpt("TO:<a>").error().enhanced == EnhancedStatus{5, 1, 3});
  CHECK(parse_rcpt("TO:<a@b.example> FORWARD=NO").error().code == 555);
  CHECK(parse_rcpt("TO:<a@b.example> N\x01\xff").error().text == "parameter not recognized: N??");
  CHECK(parse_rcpt("TO:<a@\xc3\xa4.example>").error().code == 553);
}

TEST_CASE("command: with SMTPUTF8 paths may hold UTF-8, and their domains become A-labels") {
  const PathRules rules{.utf8 = true};
  const auto mail = parse_mail("FROM:<j\xc3\xb6rg@\xc3\xa4.example> SMTPUTF8", rules);
  REQUIRE(mail);
  CHECK(mail->utf8);
  CHECK(mail->reverse_path->text() == "j\xc3\xb6rg@xn--4ca.example");
  CHECK_FALSE(parse_mail("FROM:<a@b.example>", rules)->utf8);
  const auto rcpt = parse_rcpt("TO:<\"\xc3\xb6@x\"@\xc3\xa4.example>", rules);
  REQUIRE(rcpt);
  CHECK(rcpt->forward_path->local() == "\xc3\xb6@x");
  CHECK(rcpt->forward_path->domain() == "xn--4ca.example");
  CHECK(parse_rcpt("TO:<anne@\xc3\xa4.example>", rules)->forward_path->text() == "anne@xn--4ca.example");
  CHECK_FALSE(parse_rcpt("TO:<\xc3\xa4.example>", rules));
  CHECK_FALSE(parse_rcpt("TO:<\"\xc3\xa4@x\">", rules));
  CHECK(parse_rcpt("TO:<a@b.example> ORCPT=utf-8;j\xc3\xb6rg@b.example", rules)->dsn.orcpt ==
        "utf-8;j\\x{F6}rg@b.example");
  for (const char* bad :
       {"TO:<a@b.example> ORCPT=utf-8;j\xf6rg@b.example", "TO:<a@b.example> ORCPT=utf-8;\xc3\xb6=x",
        "TO:<a@b.example> ORCPT=utf-8;\xc2\x85", "TO:<a@b.example> ORCPT=rfc822;\xc3\xb6"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_rcpt(bad, rules));
  }
}

TEST_CASE("command: the name of EHLO") {
  CHECK(*parse_hello("mx.example.org") == "mx.example.org");
  CHECK(*parse_hello("[192.0.2.1] x") == "[192.0.2.1]");
  CHECK_FALSE(parse_hello(""));
  CHECK_FALSE(parse_hello(std::string(256, 'a')));
  CHECK_FALSE(
      parse_hello("a\x01"
                  "b"));
}

TEST_CASE("command: BDAT") {
  CHECK(parse_bdat("5")->size == 5);
  CHECK_FALSE(parse_bdat("5")->last);
  CHECK(parse_bdat("0 last")->last);
  CHECK(parse_bdat("18446744073709551615  LAST")->size == 18446744073709551615u);
  for (const char* bad :
       {"", "LAST", "-1", "+1", "5 LAS", "5LAST", "5 LAST LAST", "18446744073709551616", "0x5", "5."})
    CHECK_FALSE(parse_bdat(bad).has_value());
}
