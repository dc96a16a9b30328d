// Claiming: when a lane claims and how much, and that no claim is forgotten on its way.
#include "server/delivery/claiming.hpp"

#include <doctest/doctest.h>

#include "store/spool/changes.hpp"

using namespace spoold;
using namespace spoold::server;
using namespace std::chrono_literals;

namespace {

const Claiming::Clock::time_point start(1h);
const TimePoint noon(Duration(1'790'000'000'000));

std::vector<store::Claim> claims_of(store::Id message, std::size_t recipients) {
  std::vector<store::Claim> all(1);
  all[0].message = message;
  all[0].recipients.resize(recipients);
  return all;
}

}  // namespace

TEST_CASE("a claim fills the hand to two transactions a connection, one where others wait") {
  Claiming claiming(100);
  CHECK(claiming.target({0, 0, false}) == 200);
  CHECK(claiming.target({0, 5, false}) == 1000);
  CHECK(claiming.target({0, 5, true}) == 500);
  CHECK(claiming.target({0, 5000, false}) == 8000);
  claiming.mostly_single(true);
  CHECK(claiming.target({0, 5, false}) == 100);
  CHECK(claiming.has_room({75, 5, false}));
  CHECK_FALSE(claiming.has_room({76, 5, false}));
}

TEST_CASE("a fast host has a quarter of a second's outcomes in hand, and the rate is forgotten in a pause") {
  Claiming claiming(1);
  claiming.measure(start);
  for (int i = 0; i < 2000; ++i) claiming.had_outcome();
  claiming.measure(start + 49ms);
  CHECK(claiming.target({0, 1, false}) == 100);
  claiming.measure(start + 100ms);
  CHECK(claiming.target({0, 1, false}) == 5000);
  claiming.measure(start + 2s);
  CHECK(claiming.target({0, 1, false}) == 100);
}

TEST_CASE("one claim at a time; what becomes due meanwhile is due afterwards") {
  Claiming claiming(100);
  claiming.due(noon);
  const auto ask = claiming.begin({50, 1, false}, start);
  REQUIRE(ask);
  CHECK(ask->recipients == 150);
  CHECK_FALSE(ask->patient);
  CHECK(claiming.busy());
  CHECK(claiming.next_due() == TimePoint::max());
  claiming.due(noon + 5s);
  claiming.came(claims_of(7, 150), 150);
  CHECK(claiming.filled());
  claiming.taken(std::nullopt);
  CHECK_FALSE(claiming.busy());
  CHECK(claiming.coming().empty());
  CHECK(claiming.next_due() == noon + 5s);
}

TEST_CASE("without room nothing is claimed; with much in hand the claim may wait for company") {
  Claiming claiming(4000);
  CHECK_FALSE(claiming.begin({6001, 1, false}, start));
  CHECK_FALSE(claiming.busy());
  CHECK(claiming.begin({2000, 1, false}, start)->patient);
}

TEST_CASE("a claim that failed is asked for again in a second, one that cannot be read is kept") {
  Claiming claiming(100);
  claiming.begin({}, start);
  claiming.failed(noon);
  CHECK_FALSE(claiming.busy());
  CHECK(claiming.next_due() == noon + 1s);
  CHECK_FALSE(claiming.may_probe(start + 999ms));
  CHECK(claiming.may_probe(start + 1s));

  claiming.begin({}, start);
  claiming.came(claims_of(7, 3), 200);
  CHECK_FALSE(claiming.filled());
  claiming.unreadable(noon);
  CHECK(claiming.read_at() == noon + 1s);
  CHECK(claiming.busy());
  CHECK(claiming.coming().size() == 1);
  claiming.abandon();
  CHECK_FALSE(claiming.busy());
}

TEST_CASE("a hold counts for the claim on its way, not for the next one") {
  Claiming claiming(100);
  claiming.hold(7);
  claiming.begin({}, start);
  CHECK_FALSE(claiming.holds(7));
  claiming.hold(7);
  CHECK(claiming.holds(7));
  claiming.came(claims_of(7, 3), 200);
  claiming.taken(noon);
  claiming.begin({}, start);
  CHECK_FALSE(claiming.holds(7));
}

TEST_CASE("after an exception a claim that the store still makes comes all the same") {
  Claiming claiming(100);
  claiming.begin({}, start);
  claiming.abandon();
  CHECK(claiming.busy());
  claiming.came(claims_of(7, 3), 200);
  CHECK(claiming.has_come());
}
