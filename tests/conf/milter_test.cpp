// [[milter]]: addresses, and what is the default.
#include <doctest/doctest.h>

#include "conf/load.hpp"

using namespace spoold::conf;

TEST_CASE("[[milter]]: several, in order, on TCP and on unix sockets") {
  const auto settings = parse(
      "[[milter]]\naddress = \"127.0.0.1:11332\"\n[[milter]]\naddress = "
      "\"unix:/run/x/milter.sock\"\nwhen_away = "
      "\"accept\"\ntimeout = \"5s\"\n[[milter]]\naddress = \"[::1]:8891\"\nwhen_away = \"reject\"\n",
      "t");
  REQUIRE(settings);
  REQUIRE(settings->milters.size() == 3);
  CHECK(settings->milters[0].host == "127.0.0.1");
  CHECK(settings->milters[0].port == 11332);
  CHECK(settings->milters[0].when_away == Milter::WhenAway::tempfail);
  CHECK(settings->milters[0].timeout == std::chrono::seconds(30));
  CHECK(settings->milters[1].path == "/run/x/milter.sock");
  CHECK(settings->milters[1].when_away == Milter::WhenAway::accept);
  CHECK(settings->milters[1].timeout == std::chrono::seconds(5));
  CHECK(settings->milters[2].host == "::1");
  CHECK(settings->milters[2].when_away == Milter::WhenAway::reject);
}
