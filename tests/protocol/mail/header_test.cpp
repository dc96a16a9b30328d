#include "protocol/mail/header.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "protocol/mail/address_list.hpp"

using namespace spoold::mail;
using Kind = Author::Kind;

namespace {

std::string read(std::string_view value) {
  std::string out;
  auto list = address_list(value);
  for (const auto& address : list.addresses) out += "[" + address.name + "|" + address.mailbox.text() + "]";
  for (const auto& fault : list.faults) out += "!" + fault;
  return out;
}

Kind author_of(std::string_view head) {
  return author(*Header::scan(head)).kind;
}

}  // namespace

TEST_CASE("header: fields, folding, end") {
  const std::string_view bytes =
      "Received: from a\r\n\tby b;\r\n  now\r\nSubject:x\r\nEmpty:\r\nOdd \t: y \r\n\r\nbody: no field\r\n";
  auto header = Header::scan(bytes);
  REQUIRE(header);
  REQUIRE(header->fields().size() == 4);
  CHECK(header->complete());
  CHECK(bytes.substr(header->end()) == "body: no field\r\n");
  CHECK(header->fields()[0].name == "Received");
  CHECK(header->fields()[0].raw == "Received: from a\r\n\tby b;\r\n  now\r\n");
  CHECK(header->fields()[0].value == " from a\r\n\tby b;\r\n  now");
  CHECK(unfolded(header->fields()[0].value) == "from a\tby b;  now");
  CHECK(header->fields()[1].value == "x");
  CHECK(header->fields()[2].value == "");
  CHECK(header->fields()[3].name == "Odd");
  CHECK(header->find("SUBJECT") == &header->fields()[1]);
  CHECK(header->find("Date") == nullptr);
}

TEST_CASE("header: where it ends") {
  CHECK(Header::scan("")->end() == 0);
  CHECK(!Header::scan("A: b\r\n")->complete());
  CHECK(Header::scan("\r\nbody")->end() == 2);
  CHECK(Header::scan("no header at all\r\n")->end() == 0);
  CHECK(Header::scan("no header at all\r\n")->complete());
  CHECK(Header::scan("A: b\r\nnot a field\r\nC: d\r\n")->end() == 6);
  CHECK(Header::scan("  indented first line\r\n")->end() == 0);
  auto mbox = Header::scan("From anna@x Mon Jun  1\r\nA: b\r\n\r\n");
  REQUIRE(mbox->fields().size() == 2);
  CHECK(mbox->fields()[0].name == "");
  CHECK(mbox->fields()[1].name == "A");
}

TEST_CASE("header: limits") {
  HeaderLimits limits{64, 2};
  CHECK(Header::scan("A: b\r\nC: d\r\n\r\n" + std::string(100, 'x'), limits));
  CHECK(Header::scan("A: b\r\nC: d\r\nE: f\r\n\r\n", limits).error() == HeaderFault::too_many_fields);
  CHECK(Header::scan("A: " + std::string(100, 'x') + "\r\n\r\n", limits).error() == HeaderFault::too_long);
}

TEST_CASE("header: Message-ID and Subject") {
  auto header = Header::scan("Message-Id: (c)\r\n <a.b@c> (d)\r\nSubject: =?utf-8?q?x?=\r\n  y\r\n\r\n");
  CHECK(message_id(*header) == "<a.b@c>");
  CHECK(subject(*header) == "=?utf-8?q?x?=  y");
  CHECK(message_id(*Header::scan("Message-ID: bare\r\n\r\n")) == "bare");
  CHECK(message_id(*Header::scan("\r\n")) == "");
  CHECK(first_token(" (a comment) Auto-Generated; x=y") == "auto-generated");
  CHECK(first_token(" no (really)") == "no");
}

TEST_CASE("header: property: raw fields, a blank line and the body give the same bytes again") {
  CHECK(rc::check([] {
    auto line = rc::gen::map(
        rc::gen::container<std::string>(rc::gen::element('A', ':', ' ', '\t', 'x', '\r', '\xff')),
        [](const std::string& s) { return s + "\r\n"; });
    std::string bytes;
    for (const auto& text : *rc::gen::container<std::vector<std::string>>(line)) bytes += text;
    auto header = Header::scan(bytes);
    RC_ASSERT(header.has_value());
    std::string fields;
    for (const auto& field : header->fields()) fields += field.raw;
    std::string rest = bytes.substr(header->end());
    bool blank = fields.size() != header->end();
    RC_ASSERT(fields + (blank ? bytes.substr(fields.size(), header->end() - fields.size()) : "") + rest ==
              bytes);
    if (blank) {
      std::string line_end = bytes.substr(fields.size(), header->end() - fields.size());
      RC_ASSERT(line_end == "\r\n" || line_end == "\n");
    }
  }));
}

TEST_CASE("addresses: forms") {
  CHECK(read(" anna@a.example") == "[|anna@a.example]");
  CHECK(read(" Anna Poster <anna@a.example>") == "[Anna Poster|anna@a.example]");
  CHECK(read("\"Poster, Anna\" <anna@a.example>,\r\n bert@b.example") ==
        "[Poster, Anna|anna@a.example][|bert@b.example]");
  CHECK(read("anna@a.example (Anna (the poster) \\) )") == "[|anna@a.example]");
  CHECK(read("J. R. Hacker <jr@h.example>") == "[J. R. Hacker|jr@h.example]");
  CHECK(read("anna@home.example <anna@a.example>") == "[anna@home.example|anna@a.example]");
  CHECK(read("=?utf-8?q?T=C3=A9st=2C_x?= <t@x.example>") == "[=?utf-8?q?T=C3=A9st=2C_x?=|t@x.example]");
  CHECK(read("Team: anna@a.example, Bert <bert@b.example>; carl@c.example") ==
        "[|anna@a.example][Bert|bert@b.example][|carl@c.example]");
  CHECK(read("undisclosed-recipients:;") == "");
  CHECK(read("<@gate.example,@b.example:anna@a.example>") == "[|anna@a.example]");
  CHECK(read("anna . poster @ a.example") == "[|anna.poster@a.example]");
  CHECK(read("\"two words\"@a.example") == "[|\"two words\"@a.example]");
  CHECK(read("<\"a,b\"@a.example>") == "[|\"a,b\"@a.example]");
  CHECK(read("anna@[192.0.2.1], x@[IPv6:2001:db8::1]") == "[|anna@[192.0.2.1]][|x@[ipv6:2001:db8::1]]");
  CHECK(read(",, anna@a.example ,") == "[|anna@a.example]");
}

TEST_CASE("addresses: what is none") {
  CHECK(read("Anna Poster") == "!the address has no @");
  CHECK(read("Anna <anna@a.example") == "!an address has unpaired quotes or angle brackets");
  CHECK(read("\"Anna <anna@a.example>") == "!an address has unpaired quotes or angle brackets");
  CHECK(read("anna poster@a.example") == "!the local part has a character that must be quoted");
  CHECK(read("<>") == "!the address is empty");
  CHECK(read("<a@x> <b@x>") == "!an address has unpaired quotes or angle brackets");
  CHECK(read("(") == "");
  CHECK(read("x, anna@a.example") == "[|anna@a.example]!the address has no @");
}

TEST_CASE("author: none, one, several told apart") {
  CHECK(author_of("From: Anna <anna@a.example>\r\n\r\n") == Kind::one);
  CHECK(author_of("Subject: x\r\n\r\n") == Kind::none);
  CHECK(author_of("From:\r\n\r\n") == Kind::none);
  CHECK(author_of("From: nobody\r\n\r\n") == Kind::malformed);
  CHECK(author_of("From: a@x, b@y\r\n\r\n") == Kind::several_addresses);
  CHECK(author_of("From: a@x\r\nfrom: b@y\r\n\r\n") == Kind::several_fields);
  CHECK(author_of("From: a@x, nobody\r\n\r\n") == Kind::malformed);
}

TEST_CASE("addresses: property: any bytes are read without harm, in linear time") {
  CHECK(rc::check([] {
    auto text =
        *rc::gen::container<std::string>(rc::gen::element(' ', '(', ')', '"', '\\', '<', '>', ':', ';', ',',
                                                          '@', '.', '[', ']', 'a', '\r', '\n', '\xc3', '\0'));
    auto list = address_list(text);
    RC_ASSERT(list.addresses.size() + list.faults.size() <= text.size());
  }));
  std::string deep(200000, '(');
  CHECK(address_list(deep).addresses.empty());
}
