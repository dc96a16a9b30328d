// Alarm: one timer for many reasons.
#include "server/delivery/alarm.hpp"

#include <doctest/doctest.h>

using namespace spoold;
using namespace spoold::server;
using namespace std::chrono_literals;

TEST_CASE("an alarm rings at the earliest time that was asked for, once, and must be set again") {
  asio::io_context io;
  int rung = 0;
  Alarm alarm(io, [&] {
    ++rung;
    io.stop();
  });
  for (int i = 1; i <= 2; ++i) {
    alarm.set(1h);
    alarm.set(1ms);
    alarm.set(30min);
    io.restart();
    io.run_for(60s);
    CHECK(rung == i);
  }
  io.restart();
  CHECK(io.poll() == 0);
}

TEST_CASE("an alarm that is gone rings nobody") {
  asio::io_context io;
  int rung = 0;
  {
    Alarm alarm(io, [&] { ++rung; });
    alarm.set(1ms);
  }
  io.run_for(20ms);
  CHECK(rung == 0);
}
