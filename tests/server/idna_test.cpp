#include "server/idna.hpp"

#include <doctest/doctest.h>

#include "protocol/mail/mailbox.hpp"

using spoold::Mailbox;
using spoold::server::ascii_domains;

TEST_CASE("domains behind '@' become A-labels, local parts and the rest stay") {
  CHECK(ascii_domains("j\xc3\xb6rg@b\xc3\xbc"
                      "cher.example") == "j\xc3\xb6rg@xn--bcher-kva.example");
  CHECK(ascii_domains("J\xc3\xb6rg <a@B\xc3\x9c"
                      "CHER.example>, x@plain.Example") ==
        "J\xc3\xb6rg <a@xn--bcher-kva.example>, x@plain.Example");
  CHECK(ascii_domains("a@fa\xc3\x9f.example\r\nb@plain.example\r\n") ==
        "a@xn--fa-hia.example\r\nb@plain.example\r\n");
  CHECK(ascii_domains("") == "");
  CHECK(ascii_domains("@") == "@");
}

TEST_CASE("what is no domain stays, and is refused by the parser of addresses") {
  for (const char* wrong : {"a@\xff\xfe.example", "a@\xe2\x80\xae.example", "a@-\xc3\xbc.example"}) {
    const std::string now = ascii_domains(wrong);
    CHECK_MESSAGE(!Mailbox::parse(now, Mailbox::Allow::utf8), now);
  }
  std::string longest = "a@";
  for (int i = 0; i < 40; ++i)
    longest +=
        "b\xc3\xbc"
        "cher.";
  CHECK(!Mailbox::parse(ascii_domains(longest + "example"), Mailbox::Allow::utf8));
}
