// Where a lane's connections go, and which address literals a sender may not choose.
#include "server/delivery/way.hpp"

#include <doctest/doctest.h>

#include "conf/load.hpp"

using namespace spoold;
using namespace spoold::server;

namespace {

struct Town {
  std::shared_ptr<conf::Settings> settings = std::make_shared<conf::Settings>();
  asio::io_context io{1};
  Resolver resolver{io, {}};

  /// The verdict on this route, "" when it can be connected to. Nothing here asks DNS.
  std::string verdict(const std::string& route) {
    Way way(resolver, io, settings, route, [] {});
    const Way::State state = way.look(TimePoint{Duration(1)});
    if (state == Way::State::ready) return {};
    REQUIRE(state == Way::State::unreachable);
    return (way.final() ? "final " : "") + way.why().reply.oneline();
  }
};

}  // namespace

TEST_CASE("a sender's address literal does not make this server connect to an internal network") {
  Town town;
  for (const char* internal :
       {"[127.0.0.1]", "[127.9.9.9]", "[10.1.2.3]", "[172.16.0.1]", "[172.31.255.255]", "[192.168.1.1]",
        "[169.254.169.254]", "[100.64.0.1]", "[IPv6:::1]", "[IPv6:fe80::1]", "[IPv6:fc00::1]",
        "[IPv6:fdff::1]", "[IPv6:::ffff:10.0.0.1]"}) {
    CAPTURE(internal);
    CHECK(town.verdict(internal).starts_with("final 5.1.2 "));
  }
  for (const char* nowhere :
       {"[0.0.0.0]", "[255.255.255.255]", "[224.0.0.1]", "[IPv6:::]", "[IPv6:ff02::1]", "[Sesame]"}) {
    CAPTURE(nowhere);
    CHECK(town.verdict(nowhere).starts_with("final 5.1.2 "));
  }
  for (const char* outside : {"[192.0.2.1]", "[172.32.0.1]", "[100.128.0.1]", "[IPv6:2001:db8::1]"}) {
    CAPTURE(outside);
    CHECK(town.verdict(outside) == "");
  }
}

TEST_CASE(
    "an internal address that a [[destination]] matches is connected to, unless it is this server's own") {
  Town town;
  conf::Listen own;
  own.host = "10.0.0.9";
  own.port = 25;
  town.settings->listen.push_back(own);
  conf::Destination inside;
  inside.match = "10.0.0.0/8";
  town.settings->destinations.push_back(inside);
  CHECK(town.verdict("[10.0.0.8]") == "");
  CHECK(town.verdict("[10.0.0.9]").starts_with("final 5.4.6 "));
  CHECK(town.verdict("[192.168.0.9]").starts_with("final 5.1.2 "));
}
