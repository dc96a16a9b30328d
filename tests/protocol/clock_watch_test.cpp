#include <doctest/doctest.h>

#include "protocol/clock_watch.hpp"

using namespace spoold;
using namespace std::chrono_literals;

namespace {

struct Clocks {
  TimePoint wall{std::chrono::hours(24 * 365 * 56)};
  ClockWatch::Steady steady{};

  void pass(Duration time) {
    wall += time;
    steady += time;
  }
};

constexpr Duration year = std::chrono::hours(24 * 365);

}  // namespace

TEST_CASE("clock watch: a clock a year ahead at the start is not believed for an hour, then it is") {
  Clocks at;
  const TimePoint last = at.wall - 3h;
  at.wall += year;
  ClockWatch watch(last, at.wall, at.steady);
  CHECK(watch.look(at.wall, at.steady));
  CHECK(watch.doubts());
  CHECK(watch.age(at.wall, at.steady) == last);
  at.pass(59min);
  CHECK_FALSE(watch.look(at.wall, at.steady));
  CHECK(watch.age(at.wall, at.steady) == last + 59min);
  at.pass(1min);
  CHECK(watch.look(at.wall, at.steady));
  CHECK_FALSE(watch.doubts());
  CHECK(watch.age(at.wall, at.steady) == at.wall);
}

TEST_CASE("clock watch: a clock that is put right within the hour is believed at once") {
  Clocks at;
  const TimePoint right = at.wall;
  at.wall += year;
  ClockWatch watch(right - 10min, at.wall, at.steady);
  REQUIRE(watch.look(at.wall, at.steady));
  at.pass(5min);
  at.wall -= year;
  CHECK(watch.look(at.wall, at.steady));
  CHECK(watch.age(at.wall, at.steady) == at.wall);
}

TEST_CASE("clock watch: a jump while it runs; summer time, a slow look and a clock set back are none") {
  Clocks at;
  ClockWatch watch(TimePoint{}, at.wall, at.steady);
  CHECK_FALSE(watch.look(at.wall, at.steady));
  for (const Duration step : {Duration(10min), Duration(48h)}) {
    at.pass(step);
    CHECK_FALSE(watch.look(at.wall, at.steady));
  }
  at.wall += 1h;
  CHECK_FALSE(watch.look(at.wall, at.steady));
  at.wall -= year;
  CHECK_FALSE(watch.look(at.wall, at.steady));
  CHECK(watch.age(at.wall, at.steady) == at.wall);
  at.pass(1min);
  at.wall += year;
  CHECK(watch.look(at.wall, at.steady));
  CHECK(watch.age(at.wall, at.steady) == at.wall - year);
}

TEST_CASE("clock watch: the first start of a store, and one after a quiet day") {
  Clocks at;
  ClockWatch fresh(TimePoint{}, at.wall, at.steady);
  CHECK_FALSE(fresh.look(at.wall, at.steady));
  ClockWatch quiet(at.wall - 23h, at.wall, at.steady);
  CHECK_FALSE(quiet.look(at.wall, at.steady));
}
