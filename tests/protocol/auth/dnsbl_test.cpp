// DNS lists of addresses (RFC 5782), and how they fail.
#include "protocol/auth/dnsbl.hpp"

#include "tests/protocol/auth/answered.hpp"

using namespace spoold;
using namespace spoold::auth;

namespace {

DnsblVerdict judged(const char* client, const char* zone) {
  conf::Dnsbl list;
  list.zone = "List.Example";
  DnsblCheck check(list, *dns::parse_ip(client));
  return tests::answered(check, tests::zone_of(zone)).verdict();
}

}  // namespace

TEST_CASE("a list: listed with its text, not listed, by IPv4 and IPv6") {
  const char* zone =
      "9.2.0.192.list.example. A 127.0.0.4\n9.2.0.192.list.example. A 127.0.0.99\n"
      "9.2.0.192.list.example. TXT \"see https://list.example/192.0.2.9\"\n"
      "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.list.example. A 127.0.0.11\n";
  const auto listed = judged("192.0.2.9", zone);
  CHECK(listed.listed);
  CHECK(listed.zone == "List.Example");
  CHECK(listed.answers == std::vector<std::string>{"127.0.0.4", "127.0.0.99"});
  CHECK(listed.text == "see https://list.example/192.0.2.9");
  CHECK(listed.error.empty());
  CHECK(judged("2001:db8::1", zone).listed);
  const auto not_listed = judged("192.0.2.8", zone);
  CHECK_FALSE(not_listed.listed);
  CHECK(not_listed.error.empty());
}

TEST_CASE("an answer that nobody expects, a refusal, a failure of DNS: an error, never a listing") {
  for (const char* answer : {"A 127.255.255.254", "A 127.0.0.1", "A 127.0.0.12", "A 192.0.2.1",
                             "A 127.0.0.2\n9.2.0.192.list.example. A 127.255.255.252"}) {
    const auto verdict =
        judged("192.0.2.9", ("9.2.0.192.list.example. " + std::string(answer) + "\n").c_str());
    CHECK_FALSE_MESSAGE(verdict.listed, answer);
    CHECK(verdict.error.find("which is no listing") != std::string::npos);
  }
  CHECK(judged("192.0.2.9", "$SERVFAIL 9.2.0.192.list.example.\n").error == "DNS: SERVFAIL");
  CHECK(judged("192.0.2.9", "$TIMEOUT 9.2.0.192.list.example.\n").error == "DNS: no answer in time");
}

TEST_CASE("the entries that test a list (RFC 5782 5)") {
  CHECK(dns::reversed(dnsbl_test_entries(false).first) == "2.0.0.127");
  CHECK(dns::reversed(dnsbl_test_entries(false).second) == "1.0.0.127");
  CHECK(dns::reversed(dnsbl_test_entries(true).first).starts_with("2.0.0.0.0.0.f.7.f.f.f.f.0.0."));
}
