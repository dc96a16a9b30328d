#include "protocol/smtp/reply.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

using spoold::smtp::EnhancedStatus;
using spoold::smtp::Reply;

TEST_CASE("reply: one line and several lines on the wire") {
  CHECK(Reply{250, {2, 1, 5}, "Ok"}.wire() == "250 2.1.5 Ok\r\n");
  CHECK(Reply{354, {}, "End data with <CR><LF>.<CR><LF>"}.wire() ==
        "354 End data with <CR><LF>.<CR><LF>\r\n");
  CHECK(Reply{250, {}, "mx\nPIPELINING\nSIZE 10"}.wire() == "250-mx\r\n250-PIPELINING\r\n250 SIZE 10\r\n");
  CHECK(Reply{550, {5, 7, 1}, "no\nway"}.wire() == "550-5.7.1 no\r\n550 5.7.1 way\r\n");
  CHECK(Reply{221, {}, ""}.wire() == "221 \r\n");
}

TEST_CASE("reply: a text cannot smuggle a line of its own") {
  CHECK(Reply{550, {}, "a\r\n250 ok"}.wire() == "550-a \r\n550 250 ok\r\n");
  CHECK(Reply{550, {}, std::string("a\rb\0c", 5)}.wire() == "550 a b c\r\n");
}

TEST_CASE("reply: one line for logs") {
  CHECK(Reply{550, {5, 1, 1}, "no such user\nhere"}.oneline() == "550 5.1.1 no such user here");
  CHECK(Reply{0, {}, "connection closed after RCPT TO"}.oneline() == "connection closed after RCPT TO");
  CHECK(Reply{421, {}, ""}.oneline() == "421");
}

TEST_CASE("reply: enhanced status codes of RFC 3463") {
  CHECK(EnhancedStatus::parse("5.1.1") == EnhancedStatus{5, 1, 1});
  CHECK(EnhancedStatus::parse("4.123.999") == EnhancedStatus{4, 123, 999});
  for (const char* bad :
       {"", "5", "5.1", "5.1.", ".1.1", "3.1.1", "5.01.1", "5.1.1000", "5.1.1 ", "5.-1.1", "5.1.1.1"})
    CHECK_FALSE(EnhancedStatus::parse(bad));
  CHECK(EnhancedStatus{}.text().empty());
}

TEST_CASE("reply: enhanced status round trip") {
  rc::check([] {
    const EnhancedStatus status{*rc::gen::element<std::uint8_t>(2, 4, 5),
                                *rc::gen::inRange<std::uint16_t>(0, 1000),
                                *rc::gen::inRange<std::uint16_t>(0, 1000)};
    RC_ASSERT(EnhancedStatus::parse(status.text()) == status);
  });
}
