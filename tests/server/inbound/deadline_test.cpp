// The limit of the whole, on a clock of the test.
#include "server/inbound/deadline.hpp"

#include <doctest/doctest.h>

using namespace spoold::server;
using namespace std::chrono_literals;

namespace {
const Deadline::Clock::time_point start{1h};
}

TEST_CASE(
    "deadline: an octet a minute holds a place for ten minutes, 500 octets a second for as long as it "
    "takes") {
  Deadline slow(10min, 10min), steady(10min, 10min);
  slow.idle(start);
  steady.idle(start);
  slow.mail(start);
  steady.mail(start);
  std::uint64_t octets = 0;
  auto now = start;
  for (; slow.left(now) > 0ms && now < start + 1h; now += 1min) slow.progress(++octets, 1, now);
  CHECK(now - start == 11min);
  octets = 0;
  for (now = start; now < start + 14h; now += 10s) {
    steady.progress(octets += 5000, 1, now);
    REQUIRE(steady.left(now) > 9min);
    REQUIRE(steady.left(now) <= 10min);
  }
}

TEST_CASE("deadline: recipients give time, transactions that are begun again do not") {
  Deadline deadline(10min, 10min);
  deadline.idle(start);
  CHECK(deadline.left(start + 9min) == 1min);
  deadline.mail(start + 9min);
  CHECK(deadline.left(start + 9min) == 10min);
  deadline.progress(0, 100, start + 15min);
  CHECK(deadline.left(start + 15min) == 4min + 100s);
  deadline.mail(start + 16min);  // behind a RSET
  deadline.progress(0, 0, start + 16min);
  CHECK(deadline.left(start + 16min) == 3min + 100s);
  deadline.waited(5min);
  CHECK(deadline.left(start + 16min) == 8min + 100s);
  deadline.idle(start + 20min);
  deadline.mail(start + 21min);
  CHECK(deadline.left(start + 21min) == 10min);
}
