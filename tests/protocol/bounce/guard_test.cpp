// The spike guard: many members at one domain that fail alike within an hour.
#include "protocol/bounce/guard.hpp"

#include <doctest/doctest.h>

using namespace spoold;
using namespace spoold::bounce;
using std::chrono::hours;
using std::chrono::minutes;

namespace {

constexpr TimePoint start{hours(24 * 365 * 50)};

/// After how many failures, one a `step`, there is a spike; 0: not within 1,000.
std::uint32_t spike_after(std::uint32_t members, std::uint32_t percent, Duration step) {
  list::BounceRules rules;
  rules.guard = percent;
  Guard guard;
  TimePoint now = start;
  for (std::uint32_t n = 1; n <= 1000; ++n, now += step)
    if (spike(guard, rules, now, [=] { return members; })) return n;
  return 0;
}

}  // namespace

TEST_CASE("guard: more than so many percent of the members at a domain, and ten at least, within an hour") {
  CHECK(spike_after(20, 10, minutes(1)) == 10);
  CHECK(spike_after(99, 10, minutes(1)) == 10);
  CHECK(spike_after(100, 10, minutes(1)) == 11);
  CHECK(spike_after(400, 10, minutes(1)) == 41);
  CHECK(spike_after(700, 10, minutes(1)) == 0);  // 60 in each hour: less than a tenth
  CHECK(spike_after(20, 10, minutes(7)) == 0);
  CHECK(spike_after(20, 100, minutes(1)) == 21);
  CHECK(spike_after(20, 0, minutes(1)) == 0);
}

TEST_CASE(
    "guard: scoring is suspended for a day, then another spike may come; the members are counted once an "
    "hour") {
  list::BounceRules rules;
  Guard guard;
  unsigned asked = 0;
  const auto members = [&] { return ++asked, 50u; };
  TimePoint now = start;
  for (int n = 0; n < 9; ++n, now += minutes(1)) CHECK_FALSE(spike(guard, rules, now, members));
  CHECK(asked == 0);
  CHECK_FALSE(suspended(guard, now));
  CHECK(spike(guard, rules, now, members));
  CHECK(asked == 1);
  CHECK(guard.from == start);
  CHECK(suspended(guard, now + hours(23)));
  CHECK_FALSE(suspended(guard, now + hours(24)));
  now += hours(25);  // it goes on: that is no spike
  for (int n = 0; n < 50; ++n) CHECK_FALSE(spike(guard, rules, now, members));
  now += hours(24 * 31);
  for (int n = 0; n < 9; ++n) CHECK_FALSE(spike(guard, rules, now, members));
  CHECK(spike(guard, rules, now, members));
  CHECK(guard.from == now);
}

TEST_CASE("guard: a clock that goes back begins another hour") {
  list::BounceRules rules;
  Guard guard;
  for (int n = 0; n < 9; ++n) CHECK_FALSE(spike(guard, rules, start, [] { return 20u; }));
  CHECK_FALSE(spike(guard, rules, start - hours(24 * 365), [] { return 20u; }));
  CHECK_FALSE(suspended(guard, start - hours(24 * 365)));
}
