#include "protocol/delivery/destination.hpp"

#include <doctest/doctest.h>

#include "conf/load.hpp"

using namespace spoold;
using namespace spoold::delivery;

namespace {

conf::Destination match(const std::string& what, std::optional<int> connections = {},
                        std::optional<int> port = {}) {
  conf::Destination d;
  d.match = what;
  d.connections = connections;
  d.port = port;
  return d;
}

Whereabouts by_mx(std::string_view domain, std::vector<std::string> hosts) {
  Whereabouts w;
  w.domain = domain;
  w.mx_hosts = std::move(hosts);
  w.addresses.push_back({false, {192, 0, 2, 7}});
  return w;
}

}  // namespace

TEST_CASE("a domain or next hop before MX hosts before networks; then the first in the file") {
  conf::Settings s;
  s.destinations = {match("192.0.2.0/24"), match("mx:*.test"), match("mx:a.test"), match("x.example"),
                    match("hop.example")};
  CHECK(destination_of(s, by_mx("x.example", {"a.test"}))->match == "x.example");
  CHECK(destination_of(s, by_mx("y.example", {"z.invalid", "a.test"}))->match == "mx:*.test");
  CHECK(destination_of(s, by_mx("y.example", {"a.invalid"}))->match == "192.0.2.0/24");
  Whereabouts hop;
  hop.hops = {*conf::parse_next_hop("smtp://other.example"), *conf::parse_next_hop("smtp://hop.example:587")};
  CHECK(destination_of(s, hop)->match == "hop.example");
  hop.hops.pop_back();
  CHECK(destination_of(s, hop) == nullptr);
}

TEST_CASE("ports of MX hosts") {
  conf::Settings s;
  CHECK(port_of(s, "x.example", "a.test") == 25);
  s.destinations = {match("mx:*.test", 3), match("mx:*.test", {}, 2525), match("x.example", {}, 26)};
  CHECK(port_of(s, "x.example", "a.test") == 26);
  CHECK(port_of(s, "y.example", "a.test") == 2525);
  CHECK(port_of(s, "y.example", "a.invalid") == 25);
}

TEST_CASE("groups: the shipped providers, and patterns and networks of the configuration") {
  conf::Settings s;
  CHECK(group_of(s, by_mx("x.example", {"aspmx.l.google.com"}))->name == "google");
  CHECK(group_of(s, by_mx("x.example", {"x-example.mail.protection.outlook.com"}))->name == "microsoft");
  CHECK(group_of(s, by_mx("x.example", {"mta5.am0.yahoodns.net"}))->connections == 20);
  CHECK(group_of(s, by_mx("x.example", {"mta5.am0.yahoodns.net"}))->messages == 20);
  CHECK(group_of(s, by_mx("x.example", {"aspmx.l.google.com"}))->connections == 5);
  CHECK(group_of(s, by_mx("x.example", {"aspmx.l.google.com"}))->messages == 50);
  s.providers = std::make_shared<const std::vector<conf::Provider>>(
      std::vector<conf::Provider>{{"own", {"*.google.com"}, 2, 0}});
  CHECK(group_of(s, by_mx("x.example", {"aspmx.l.google.com"}))->name == "own");
  CHECK(group_of(s, by_mx("x.example", {"aspmx.l.google.com"}))->connections == 2);
  s.providers = nullptr;
  CHECK(group_of(s, by_mx("x.example", {"mx.x.example", "backup.google.com"}))->name ==
        "mx:backup.google.com,mx.x.example");
  Whereabouts hop;
  hop.hops = {*conf::parse_next_hop("smtp://smtp.google.com")};
  CHECK(!group_of(s, hop));
  s.destinations = {match("mx:*.google.com", 3), match("192.0.2.0/24")};
  CHECK(group_of(s, by_mx("x.example", {"aspmx.l.google.com"}))->name == "mx:*.google.com");
  CHECK(group_of(s, by_mx("x.example", {"aspmx.l.google.com"}))->connections == 3);
  CHECK(group_of(s, by_mx("x.example", {"mx.x.example"}))->name == "192.0.2.0/24");
}

TEST_CASE(
    "groups: routes with the same MX hosts are one, whatever their order; a route without MX is alone") {
  conf::Settings s;
  const auto group = group_of(s, by_mx("x.example", {"mx2.host.test", "mx1.host.test"}));
  CHECK(group->name == "mx:mx1.host.test,mx2.host.test");
  CHECK(group->connections == 20);
  CHECK(group_of(s, by_mx("y.example", {"mx1.host.test", "mx2.host.test", "mx1.host.test"}))->name ==
        group->name);
  CHECK(group_of(s, by_mx("z.example", {"mx1.host.test"}))->name == "mx:mx1.host.test");
  CHECK(!group_of(s, by_mx("x.example", {"x.example"})));
  CHECK(!group_of(s, by_mx("192.0.2.7", {"192.0.2.7"})));
  s.destinations = {match("x.example", 50)};
  CHECK(group_of(s, by_mx("x.example", {"mx1.host.test"}))->connections == 50);
  CHECK(group_of(s, by_mx("y.example", {"mx1.host.test"}))->connections == 20);
}
