#include "server/loop_lag.hpp"

#include <doctest/doctest.h>

#include <thread>

using namespace spoold::server;
using namespace std::chrono_literals;

TEST_CASE("loop lag: the longest of the last minute, forgotten after it") {
  asio::io_context io;
  LoopLag lag(io, "test");
  const LoopLag::Clock::time_point start(1h);
  CHECK(lag.worst(start) == 0us);
  lag.note(5ms, start);
  lag.note(3ms, start + 1s);
  lag.note(2ms, start + 30s);
  CHECK(lag.worst(start + 30s) == 5ms);
  CHECK(lag.worst(start + 49s) == 5ms);
  CHECK(lag.worst(start + 61s) == 2ms);
  lag.note(1ms, start + 60s);
  CHECK(lag.worst(start + 95s) == 1ms);
  CHECK(lag.worst(start + 200s) == 0us);
}

TEST_CASE("loop lag: a turn of 300 ms is seen") {
  asio::io_context io;
  LoopLag lag(io, "test");
  asio::steady_timer busy(io, 50ms), end(io, 500ms);
  busy.async_wait([](const std::error_code&) { std::this_thread::sleep_for(300ms); });
  end.async_wait([&](const std::error_code&) { io.stop(); });
  io.run();
  CHECK(lag.worst() >= 150ms);
}
