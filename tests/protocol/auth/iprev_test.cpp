// The name of a client's address, and what it calls itself.
#include "protocol/auth/iprev.hpp"

#include "tests/protocol/auth/answered.hpp"

using namespace spoold;
using namespace spoold::auth;

namespace {

std::string iprev(const char* client, const std::string& zone) {
  IprevCheck check(*dns::parse_ip(client));
  tests::answered(check, tests::zone_of(zone), 1 + IprevCheck::most_names);
  return std::string(text(check.result())) + (check.problem().empty() ? "" : ": " + check.problem());
}

bool bad_helo(const char* hello, const char* client = "192.0.2.1") {
  return helo_fault(hello, *dns::parse_ip(client), "mx.example.org").has_value();
}

}  // namespace

TEST_CASE("iprev: one name that leads back is enough") {
  const std::string name = "1.2.0.192.in-addr.arpa. PTR ";
  CHECK(iprev("192.0.2.1", name + "mx.example.\nmx.example. A 192.0.2.1\n") == "pass");
  CHECK(iprev("::ffff:192.0.2.1", name + "mx.example.\nmx.example. A 192.0.2.1\n") == "pass");
  CHECK(iprev("192.0.2.1", name + "a.example.\n" + name +
                               "b.example.\nb.example. A 192.0.2.1\n$SERVFAIL a.example.\n") == "pass");
  CHECK(iprev("192.0.2.1", name + "mx.example.\nmx.example. A 192.0.2.2\n") ==
        "fail: mx.example does not have the address 192.0.2.1");
  CHECK(iprev("192.0.2.1", "x.example. A 192.0.2.1\n") == "fail: 192.0.2.1 has no name (PTR)");
  CHECK(iprev("192.0.2.1", "$SERVFAIL 1.2.0.192.in-addr.arpa.\n") ==
        "temperror: DNS: the name of 192.0.2.1: SERVFAIL");
  CHECK(iprev("192.0.2.1", name + "a.example.\n$TIMEOUT a.example.\n")
            .starts_with("temperror: DNS: the address of a.example"));
  std::string many;
  for (int i = 0; i < 50; ++i) many += name + "n" + std::to_string(i) + ".example.\n";
  CHECK(iprev("192.0.2.1", many).starts_with("fail"));
  CHECK(iprev("2001:db8::1",
              "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR "
              "mx.example.\nmx.example. AAAA "
              "2001:db8::1\n") == "pass");
}

TEST_CASE("HELO: a full name, or the client's address") {
  for (const char* good :
       {"mx.example.net", "MX.Example.Net.", "[192.0.2.1]", "mail-1.example.co.uk", "win_pc.example.net"})
    CHECK_MESSAGE(!bad_helo(good), good);
  CHECK(!bad_helo("[IPv6:2001:db8::1]", "2001:db8::1"));
  for (const char* bad :
       {"localhost", "mx", "192.0.2.1", "[192.0.2.2]", "[IPv6:2001:db8::1]", "[192.0.2.1", "[]", "[", "", ".",
        "a..b", "mx.example.org", "MX.example.ORG.", "-x-.example.net", "ex ample.net"})
    CHECK_MESSAGE(bad_helo(bad), bad);
}
