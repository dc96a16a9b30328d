// Place: connections that lanes share, one lane's part in it.
#include "server/delivery/place.hpp"

#include <doctest/doctest.h>

#include <set>

#include "server/delivery/pause.hpp"

using namespace spoold;
using namespace spoold::server;
using namespace std::chrono_literals;

namespace {

const TimePoint noon(Duration(1'790'000'000'000));

/// As LaneSet does it: one line, told of a connection when one was taken for the route.
struct Thread : Place::Line {
  explicit Thread(int most) : all(most, [this] { ++crowded; }) {}
  bool in_line(const std::string& route) const override { return line.contains(route); }
  void stand_in_line(const std::string& route) override {
    if (line.insert(route).second) all.wait([this, route] { taken.push_back(route); });
  }
  void grant(Place& place, const std::string& route) {
    line.erase(route);
    place.granted();
  }
  Connections all;
  std::set<std::string> line;
  std::vector<std::string> taken;
  int crowded = 0;
};

}  // namespace

TEST_CASE("a connection that was reserved is used first, and given back with the ticket") {
  Thread thread(2);
  Place place(thread.all, thread, "a");
  CHECK(place.reserve());
  CHECK(place.reserve());
  CHECK(thread.all.open() == 1);
  CHECK(place.has_grant());
  auto one = place.take(true, noon);
  REQUIRE(one.ticket);
  CHECK_FALSE(place.has_grant());
  CHECK(thread.all.open() == 1);
  auto two = place.take(false, noon);
  REQUIRE(two.ticket);
  CHECK_FALSE(place.take(false, noon).ticket);
  CHECK_FALSE(place.in_line());  // it has connections
  place.leave(std::move(one.ticket));
  CHECK(thread.all.open() == 1);
  two.ticket.reset();
  CHECK(thread.all.open() == 0);
  CHECK(place.reserve());
  place.return_grant();
  place.return_grant();
  CHECK(thread.all.open() == 0);
}

TEST_CASE("without a connection to be had a lane is in line once, and the thread's line is the only truth") {
  Thread thread(1);
  Place first(thread.all, thread, "a"), second(thread.all, thread, "b");
  auto taken = first.take(true, noon);
  REQUIRE(taken.ticket);
  CHECK_FALSE(taken.ticket->wanted());
  CHECK_FALSE(second.reserve());
  CHECK(second.in_line());
  CHECK(thread.crowded == 1);
  CHECK_FALSE(second.take(true, noon).ticket);
  CHECK_FALSE(second.reserve());
  CHECK(thread.line.size() == 1);

  CHECK(taken.ticket->wanted());
  CHECK_FALSE(taken.ticket->had_its_turn());
  CHECK(taken.ticket->yield());
  CHECK(taken.ticket->yields());
  first.leave(std::move(taken.ticket));
  CHECK(thread.taken == std::vector<std::string>{"b"});
  thread.grant(second, "b");
  CHECK_FALSE(second.in_line());
  CHECK(second.take(true, noon).ticket);
}

TEST_CASE("two connections that were taken for a lane are one: the other is given back") {
  Thread thread(2);
  Place place(thread.all, thread, "a");
  REQUIRE(thread.all.take());
  place.granted();
  REQUIRE(thread.all.take());
  place.granted();
  CHECK(thread.all.open() == 1);
}

TEST_CASE("a group lets a lane wait: no connection of all is taken for it meanwhile") {
  Thread thread(10);
  std::vector<std::string> called;
  Groups groups([&](const std::string& route) { called.push_back(route); });
  delivery::GroupRules rules;
  rules.name = "provider";
  rules.connections = 1;
  const auto group = groups.of(rules, noon);
  Place first(thread.all, thread, "a"), second(thread.all, thread, "b");
  first.join(group, 1);
  second.join(group, 1);
  auto taken = first.take(true, noon);
  REQUIRE(taken.ticket);
  CHECK_FALSE(second.take(true, noon).ticket);
  CHECK(thread.all.open() == 1);
  CHECK_FALSE(second.in_line());
  CHECK(second.group_until() > noon);
  CHECK(taken.ticket->wanted());
  CHECK(taken.ticket->yield());
  CHECK(taken.ticket->yields_in_group());
  first.leave(std::move(taken.ticket));
  CHECK(called == std::vector<std::string>{"b"});
  second.called();
  CHECK(second.take(true, noon).ticket);
}

TEST_CASE("pauses after faults of this machine grow to 30 s; the same words are logged once in ten minutes") {
  Pause pause;
  const Pause::Clock::time_point start(1h);
  CHECK(pause.fault("no descriptors", noon, start));
  CHECK(pause.until() == noon + 1s);
  CHECK_FALSE(pause.fault("no descriptors", noon, start + 599s));
  CHECK(pause.until() == noon + 2s);
  CHECK(pause.fault("no password", noon, start + 599s));
  for (int i = 0; i < 5; ++i) pause.fault("no password", noon, start + 599s);
  CHECK(pause.until() == noon + 30s);
  pause.at_least(noon + 10s);
  CHECK(pause.until() == noon + 30s);
  pause.ends();
  CHECK(pause.fault("no password", noon + 60s, start + 599s));
  CHECK(pause.until() == noon + 61s);
}
