#include "protocol/mail/mailbox.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

using spoold::Mailbox;

namespace {

std::string fault(std::string_view text, Mailbox::Allow allow = Mailbox::Allow::ascii) {
  auto parsed = Mailbox::parse(text, allow);
  return parsed ? "well-formed: " + parsed->text() : parsed.error();
}

}  // namespace

TEST_CASE("mailbox: the local part keeps its case, the domain is lower case") {
  auto box = Mailbox::parse("Anna.Poster+x@A.Example");
  REQUIRE(box);
  CHECK(box->local() == "Anna.Poster+x");
  CHECK(box->domain() == "a.example");
  CHECK(box->text() == "Anna.Poster+x@a.example");
  CHECK(box->key() == "anna.poster+x@a.example");
}

TEST_CASE("mailbox: what is well-formed") {
  for (const char* text :
       {"a@b", "srs0=abc=def@x.example", "o'neil@x.example", "a%b!c@x.example", "\"two words\"@x.example",
        "\"\"@x.example", "\"a@b\"@x.example", "u@[192.0.2.1]", "u@[ipv6:2001:db8::1]", "u@[ipv6:::]",
        "u@[ipv6:::ffff:192.0.2.1]", "u@[ipv6:1:2:3:4:5:6:7:8]", "u@xn--mller-kva.example",
        "\"a\\\"b\\\\c\"@x.example"}) {
    CAPTURE(text);
    auto box = Mailbox::parse(text);
    REQUIRE(box);
    CHECK(box->text() == text);
  }
}

TEST_CASE("mailbox: quotes that are not needed go") {
  auto box = Mailbox::parse("\"anna\"@x.example");
  REQUIRE(box);
  CHECK(box->text() == "anna@x.example");
  CHECK(*box == *Mailbox::parse("anna@x.example"));
}

TEST_CASE("mailbox: each fault has its sentence") {
  CHECK(fault("") == "the address is empty");
  CHECK(fault("anna") == "the address has no @");
  CHECK(fault("@x.example") == "the local part is missing");
  CHECK(fault("anna@") == "the domain is missing");
  CHECK(fault(".anna@x") == "the local part has a dot at its begin or end, or two in a row");
  CHECK(fault("an..na@x") == "the local part has a dot at its begin or end, or two in a row");
  CHECK(fault("two words@x") == "the local part has a character that must be quoted");
  CHECK(fault("a\rb@x") == "the local part has a control character");
  CHECK(fault(std::string_view("a\0b@x", 5)) == "the local part has a control character");
  CHECK(fault("\"a\nb\"@x") == "the local part has a control character");
  CHECK(fault("\"open@x") == "the quoted local part is not closed");
  CHECK(fault("\"open\\") == "the quoted local part is not closed");
  CHECK(fault("\"a\"b@x") == "the address has no @");
  CHECK(fault("a@b@c") == "the domain has a character other than letters, digits, hyphens and dots");
  CHECK(fault("a@x~y.example") == "the domain has a character other than letters, digits, hyphens and dots");
  CHECK(Mailbox::parse("a@x_y.example")->text() == "a@x_y.example");  // of real mail, and in the DNS
  CHECK(fault("a@-x.example") == "a label of the domain begins with a hyphen");
  CHECK(fault("a@x-.example") == "a label of the domain ends with a hyphen");
  CHECK(fault("a@x..example") == "the domain has an empty label");
  CHECK(fault("a@x.example.") == "the domain ends with a dot");
  CHECK(fault("a@" + std::string(64, 'x') + ".example") == "a label of the domain is longer than 63 octets");
  CHECK(fault("a@m\xc3\xbcller.example") == "the domain must be written in its A-label form (xn--...)");
  CHECK(fault("a@[192.0.2.256]") == "the address literal is neither an IPv4 address nor [IPv6:...]");
  CHECK(fault("a@[192.0.2.1") == "the address literal is not closed by ]");
  CHECK(fault("a@[IPv6:1::2::3]") == "the address literal is not an IPv6 address");
  CHECK(fault("a@[IPv6:1:2:3:4:5:6:7]") == "the address literal is not an IPv6 address");
  CHECK(fault("m\xc3\xbcller@x") == "the local part is not ASCII");
  CHECK(fault("m\xfcller@x", Mailbox::Allow::utf8) == "the local part is not valid UTF-8");
  CHECK(fault("m\xc2\x85x@x", Mailbox::Allow::utf8) == "the local part is not valid UTF-8");
}

TEST_CASE("mailbox: a domain in UTF-8 is kept as A-labels, where UTF-8 is allowed") {
  const auto utf8 = [](std::string_view text) { return Mailbox::parse(text, Mailbox::Allow::utf8); };
  CHECK(utf8("j\xc3\xb6rg@B\xc3\x9c"
             "cher.Example")
            ->text() == "j\xc3\xb6rg@xn--bcher-kva.example");
  CHECK(utf8("anne@b\xc3\xbc"
             "cher.example") == utf8("anne@xn--bcher-kva.example"));
  CHECK(utf8("\"\xc3\xb6@x\"@\xc3\xa4.example")->domain() == "xn--4ca.example");
  CHECK(fault("a@\xe2\x80\xae.example", Mailbox::Allow::utf8) ==
        "the domain must be written in its A-label form (xn--...)");
  for (const std::string_view bad :
       {std::string_view("a@\xff\xfe.example"), std::string_view("a@x\0\xc3\xa4", 6),
        std::string_view("a@[\xc3\xa4]"), std::string_view("a@\xe2\x80\xae.example")})
    CHECK_FALSE(utf8(bad));
}

TEST_CASE("mailbox: lengths") {
  const std::string local64(64, 'a'), local65(65, 'a');
  CHECK(Mailbox::parse(local64 + "@x.example"));
  CHECK(fault(local65 + "@x.example") == "the local part is longer than 64 octets");
  // a quoted local part counts with its quotes: that is what goes into RCPT TO
  CHECK(Mailbox::parse("\"" + std::string(61, 'a') + " \"@x"));
  CHECK(fault("\"" + std::string(62, 'a') + " \"@x") == "the local part is longer than 64 octets");
  const std::string label(61, 'x');
  CHECK(Mailbox::parse("a@" + label + "." + label + "." + label + "." + label));
  CHECK(fault(local64 + "@" + label + "." + label + "." + label + "." + label) ==
        "the address is longer than 254 octets");
}

TEST_CASE("mailbox: utf8 local parts when they are allowed") {
  auto box = Mailbox::parse("m\xc3\xbcller@x.example", Mailbox::Allow::utf8);
  REQUIRE(box);
  CHECK(!box->is_ascii());
  CHECK(box->text() == "m\xc3\xbcller@x.example");
}

TEST_CASE("mailbox: property: text() of whatever parses reads back as the same mailbox") {
  CHECK(rc::check("any bytes", [](const std::string& local, const std::string& domain) {
    if (auto box = Mailbox::parse(local + "@" + domain, Mailbox::Allow::utf8)) {
      auto again = Mailbox::parse(box->text(), Mailbox::Allow::utf8);
      RC_ASSERT(again.has_value());
      RC_ASSERT(*again == *box);
    }
  }));
  CHECK(rc::check("printable ASCII, quoted", [] {
    const auto local = *rc::gen::container<std::string>(rc::gen::inRange<char>(' ', '\x7f'));
    std::string text = "\"";
    for (char c : local) text += '\\', text += c;
    auto box = Mailbox::parse(text + "\"@x.example");
    if (box) {
      RC_ASSERT(box->local() == local);
      RC_ASSERT(Mailbox::parse(box->text())->local() == local);
    } else {
      RC_ASSERT(box.error() == "the local part is longer than 64 octets");
    }
  }));
}
