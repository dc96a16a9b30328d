#include "server/inbound/penalties.hpp"

#include <doctest/doctest.h>

using spoold::server::Penalties;
using namespace std::chrono_literals;

namespace {

struct Tried {
  Penalties penalties{{.network = 5, .user = 20, .half_life = 10min, .known = 24h, .entries = 100}};
  Penalties::Clock::time_point now{1000h};

  bool refused(const std::string& network, const std::string& user) {
    return penalties.refuses(network, user, now);
  }
  void fail(const std::string& network, const std::string& user, int times = 1) {
    for (int i = 0; i < times; ++i) penalties.failed(network, user, now);
  }
};

}  // namespace

TEST_CASE(
    "penalties: a network that fails is refused whatever name it tries, until the failures have decayed") {
  Tried t;
  t.fail("192.0.2.1", "a", 2);
  t.fail("192.0.2.1", "b", 2);
  CHECK_FALSE(t.refused("192.0.2.1", "c"));
  t.fail("192.0.2.1", "c");
  CHECK(t.refused("192.0.2.1", "d"));
  CHECK_FALSE(t.refused("192.0.2.2", "d"));
  t.now += 1min;
  CHECK(t.refused("192.0.2.1", "d"));
  t.now += 10min;
  CHECK_FALSE(t.refused("192.0.2.1", "d"));
  t.fail("192.0.2.1", "d", 3);  // what is left counts still
  CHECK(t.refused("192.0.2.1", "d"));
}

TEST_CASE(
    "penalties: a name that is tried from many networks is refused, but not where its user logged in "
    "before") {
  Tried t;
  t.penalties.succeeded("198.51.100.7", "anne", t.now);
  for (int i = 0; i < 40; ++i) t.fail("192.0.2." + std::to_string(i), "anne");
  CHECK(t.refused("203.0.113.1", "anne"));
  CHECK_FALSE(t.refused("203.0.113.1", "bart"));
  CHECK_FALSE(t.refused("198.51.100.7", "anne"));
  // The neighbours' failures in his network are not his either; those under his name are.
  t.fail("198.51.100.7", "bart", 10);
  CHECK(t.refused("198.51.100.7", "cris"));
  CHECK_FALSE(t.refused("198.51.100.7", "anne"));
  t.fail("198.51.100.7", "anne", 5);
  CHECK(t.refused("198.51.100.7", "anne"));
  t.now += 1h;
  CHECK_FALSE(t.refused("198.51.100.7", "anne"));
  t.now += 24h;  // the login is too long ago: the network is one like any other
  for (int i = 0; i < 40; ++i) t.fail("192.0.2." + std::to_string(i), "anne");
  CHECK(t.refused("198.51.100.7", "anne"));
}

TEST_CASE("penalties: a login does not take failures away") {
  Tried t;
  t.fail("192.0.2.1", "anne", 5);
  t.penalties.succeeded("192.0.2.1", "mallory", t.now);
  CHECK(t.refused("192.0.2.1", "anne"));
}

TEST_CASE("penalties: the tables are bounded, and forget what was touched longest ago") {
  Tried t;
  t.fail("old", "old", 5);
  t.penalties.succeeded("home", "anne", t.now);
  for (int i = 0; i < 99; ++i) t.fail("n" + std::to_string(i), "u" + std::to_string(i));
  CHECK(t.refused("old", "x"));
  t.fail("new", "new");
  CHECK_FALSE(t.refused("old", "x"));
  t.fail("n0", "u0", 4);
  CHECK(t.refused("n0", "x"));
  t.fail("home", "x", 10);
  CHECK_FALSE(t.refused("home", "anne"));  // no stranger gets into the table of logins
}

TEST_CASE("penalties: a login that the store remembers counts as one from here, as long ago as it was") {
  Tried t;
  for (int i = 0; i < 40; ++i) t.fail("192.0.2." + std::to_string(i), "anne");
  CHECK(t.refused("198.51.100.7", "anne"));
  t.penalties.remember("198.51.100.7", "anne", 25h, t.now);  // too long ago
  CHECK(t.refused("198.51.100.7", "anne"));
  t.penalties.remember("198.51.100.8", "anne", 23h, t.now);
  CHECK_FALSE(t.refused("198.51.100.8", "anne"));
  // What failed there since is not forgotten by remembering it again.
  t.fail("198.51.100.8", "anne", 5);
  t.penalties.remember("198.51.100.8", "anne", 0h, t.now);
  CHECK(t.refused("198.51.100.8", "anne"));
}
