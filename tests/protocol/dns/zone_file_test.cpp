// Master files (RFC 1035 5) as the DNS of checks.
#include "protocol/dns/zone_file.hpp"

#include <doctest/doctest.h>

using namespace spoold::dns;
using Status = Answer::Status;

namespace {

ZoneFile zone_of(std::string_view text) {
  auto zone = ZoneFile::parse(text);
  REQUIRE_MESSAGE(zone,
                  (zone ? std::string() : std::to_string(zone.error().line) + ": " + zone.error().what));
  return *zone;
}

std::string txt(const ZoneFile& zone, const std::string& name) {
  const Answer answer = zone.answer({name, Type::txt});
  return answer.records.size() == 1 ? parse_txt(answer.records.front()).value_or("?") : "?";
}

std::string fault(std::string_view text) {
  const auto zone = ZoneFile::parse(text);
  return zone ? "" : std::to_string(zone.error().line) + ": " + zone.error().what;
}

}  // namespace

TEST_CASE("a master file: owners, classes, times to live, comments, parentheses, strings") {
  const ZoneFile zone = zone_of(
      "; nothing but a comment\n"
      "example.com. 300 IN A 192.0.2.1 ; with a comment\r\n"
      "\t\tIN 1h30m AAAA 2001:DB8::1\n"
      "             MX 10 Mail.Example.COM.\n"
      "a.example.com. TXT \"v=spf1 \" \"a; \\\"quoted\\\" \\\\ \\065\" -all\n"
      "b.example.com. TXT ( \"in ; parentheses\" ; comment\n"
      "   \"goes (on)\"\n"
      " )\n"
      "$TTL 1d\n"
      "$ORIGIN example.net.\n"
      "@ A 192.0.2.2\n"
      "www CNAME @\n"
      "$ORIGIN sub\n"
      "deep PTR host.example.\n"
      "raw TYPE16 \\# 4 03 616263\n"
      "t TLSA 3 1 1 0aFf 00\n"
      "soa SOA ns. host. ( 1 2 3\n 4 5 )\n");
  const Answer a = zone.answer({"example.com", Type::a});
  CHECK(a.status == Status::ok);
  CHECK(a.ttl == std::chrono::seconds(300));
  CHECK(text(*parse_address(Type::a, a.records.at(0))) == "192.0.2.1");
  CHECK(text(*parse_address(Type::aaaa, zone.answer({"EXAMPLE.com", Type::aaaa}).records.at(0))) ==
        "2001:db8::1");
  CHECK(parse_mx(zone.answer({"example.com", Type::mx}).records.at(0))->host == "mail.example.com");
  CHECK(txt(zone, "a.example.com") == "v=spf1 a; \"quoted\" \\ A-all");
  CHECK(txt(zone, "b.example.com") == "in ; parenthesesgoes (on)");
  CHECK(zone.answer({"example.net", Type::a}).ttl == std::chrono::hours(24));
  const Answer www = zone.answer({"www.example.net", Type::a});
  CHECK(www.status == Status::ok);
  CHECK(www.canonical == "example.net");
  CHECK(parse_ptr(zone.answer({"deep.sub.example.net", Type::ptr}).records.at(0)) == "host.example");
  CHECK(txt(zone, "raw.sub.example.net") == "abc");
  CHECK(parse_tlsa(zone.answer({"t.sub.example.net", Type::tlsa}).records.at(0))->data.size() == 3);
  CHECK(zone.answer({"soa.sub.example.net", Type::txt}).status == Status::nodata);
}

TEST_CASE("a string that is too long for one is written as several; an empty one is one") {
  const std::string long_text(600, 'k');
  const ZoneFile zone = zone_of("k. TXT \"" + long_text + "\"\ne. TXT \"\"\nn. TXT\n");
  CHECK(txt(zone, "k") == long_text);
  CHECK(txt(zone, "e") == "");
  CHECK(txt(zone, "n") == "");
}

TEST_CASE("what exists: empty non-terminals, names with other types, wildcards (RFC 4592)") {
  const ZoneFile zone = zone_of(
      "a.b.example. A 192.0.2.1\n"
      "*.w.example. TXT wild\n"
      "host.w.example. A 192.0.2.2\n"
      "*.alias.example. CNAME a.b.example.\n");
  const auto status = [&zone](const char* name, Type type) { return zone.answer({name, type}).status; };
  CHECK(status("a.b.example", Type::a) == Status::ok);
  CHECK(status("a.b.example", Type::mx) == Status::nodata);
  CHECK(status("b.example", Type::a) == Status::nodata);  // only names below it
  CHECK(status("example", Type::a) == Status::nodata);
  CHECK(status("c.b.example", Type::a) == Status::nxdomain);
  CHECK(status("other", Type::a) == Status::nxdomain);
  CHECK(status("x.w.example", Type::txt) == Status::ok);
  CHECK(status("x.y.w.example", Type::txt) == Status::ok);
  CHECK(status("x.w.example", Type::a) == Status::nodata);
  CHECK(status("host.w.example", Type::txt) == Status::nodata);      // it exists: no wildcard
  CHECK(status("x.host.w.example", Type::txt) == Status::nxdomain);  // the closest encloser has no wildcard
  CHECK(status("w.example", Type::txt) == Status::nodata);
  CHECK(status("x.alias.example", Type::a) == Status::ok);
  CHECK(zone.answer({"x.alias.example", Type::a}).canonical == "a.b.example");
}

TEST_CASE("chains of CNAME: followed, to nowhere, without an end") {
  const ZoneFile zone = zone_of(
      "one. CNAME two.\ntwo. CNAME three.\nthree. TXT here\n"
      "lost. CNAME nowhere.\nloop. CNAME loop.\n");
  CHECK(txt(zone, "one") == "here");
  CHECK(zone.answer({"one", Type::a}).status == Status::nodata);
  CHECK(zone.answer({"one", Type::cname}).records.size() == 1);
  const Answer lost = zone.answer({"lost", Type::a});
  CHECK(lost.status == Status::nxdomain);
  CHECK(lost.canonical == "nowhere");
  CHECK(zone.answer({"loop", Type::a}).status == Status::failed);
}

TEST_CASE("$SERVFAIL and $TIMEOUT: that name fails, records or not, and no other name") {
  const ZoneFile zone = zone_of(
      "$SERVFAIL broken.example.\n$TIMEOUT slow.example.\nslow.example. A 192.0.2.1\nto. CNAME "
      "broken.example.\n");
  CHECK(zone.answer({"broken.example", Type::a}).status == Status::failed);
  CHECK(zone.answer({"Slow.Example", Type::a}).status == Status::timeout);
  CHECK(zone.answer({"to", Type::txt}).status == Status::failed);
  CHECK(zone.answer({"x.broken.example", Type::a}).status == Status::nxdomain);
}

TEST_CASE("names with any octets in their labels") {
  const ZoneFile zone = zone_of("o\\039brien\\.x.example. TXT yes\n\\000\\255.example. TXT octets\n");
  CHECK(zone.answer({"o'brien.x.example", Type::txt}).status ==
        Status::nxdomain);  // an escaped dot is no separator
  CHECK(txt(zone, std::string("\0\xff.example", 10)) == "octets");
}

TEST_CASE("a master file that is none: the line, and what is wrong") {
  CHECK(fault("a. A 192.0.2.1\nb. A 192.0.2\n") == "2: this is not a record of its type");
  CHECK(fault("a. AAAA 192.0.2.1\n") == "1: this is not a record of its type");
  CHECK(fault("a. TXT \"open\n") == "1: a quoted text is not closed on its line");
  CHECK(fault("a. TXT ( x\n\n") == "1: '(' is not closed");
  CHECK(fault("a. TXT x )\n") == "1: ')' without '('");
  CHECK(fault("  A 192.0.2.1\n") == "1: no name stands before this record");
  CHECK(fault("a. 300 IN\n") == "1: the type is missing");
  CHECK(fault("a. IN MAIL x\n") == "1: 'MAIL' is not a type of records");
  CHECK(fault("$INCLUDE other\n") == "1: $include is not one of $ORIGIN, $TTL, $SERVFAIL, $TIMEOUT");
  CHECK(fault("$ORIGIN\n") == "1: $origin is followed by one word");
  CHECK(fault("a..b. A 192.0.2.1\n") == "1: 'a..b.' is not a name");
  CHECK(fault(std::string(64, 'a') + ". A 192.0.2.1\n") != "");
  CHECK(fault("a. TXT \\25\n") == "1: this is not a record of its type");
  CHECK(fault("a. MX 10\n") != "");
  CHECK(fault("a. MX 70000 b.\n") != "");
  CHECK(fault("") == "");
}

TEST_CASE("addresses as text and as names") {
  const auto written = [](const char* text_) {
    const auto address = parse_ip(text_);
    return address ? text(*address) : "none";
  };
  CHECK(written("192.0.2.1") == "192.0.2.1");
  CHECK(written("2001:DB8:0:0:1:0:0:1") == "2001:db8::1:0:0:1");
  CHECK(written("1:0:0:2:0:0:0:3") == "1:0:0:2::3");
  CHECK(written("1:0:2:3:4:5:6:7") == "1:0:2:3:4:5:6:7");
  CHECK(written("::") == "::");
  CHECK(written("::1") == "::1");
  CHECK(written("fe80::") == "fe80::");
  CHECK(written("::ffff:192.0.2.1") == "::ffff:192.0.2.1");
  for (const char* none : {"", "192.0.2", "192.0.2.256", "01.2.3.4", "1.2.3.4.5", "::1%eth0", "[::1]",
                           "1::2::3", "unix", "10.0.0.0/8"})
    CHECK(written(none) == "none");
  CHECK_FALSE(unmapped(*parse_ip("::ffff:192.0.2.1")).v6);
  CHECK(unmapped(*parse_ip("::fffe:192.0.2.1")).v6);
  CHECK(reverse_name(*parse_ip("192.0.2.1")) == "1.2.0.192.in-addr.arpa");
  CHECK(reverse_name(*parse_ip("2001:db8::cb01")) ==
        "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}
