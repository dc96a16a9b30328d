// How late a loop is: a timer ten times a second, and how much later than due its handler ran. That is what
// anything else that became due on the loop waited for: the rest of a turn that was too long, and other
// handlers before it.
//
// worst() is that of the last minute. A turn of 100 ms and more is always seen; of shorter ones that happen
// again and again the longest are. Made on the loop's thread before it runs, and destroyed when it has ended.
// One write a beat, no lock. worst() and all() on any thread.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "server/asio.hpp"
#include "server/stats.hpp"

namespace spoold::server {

class LoopLag {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr auto every = std::chrono::milliseconds(100);

  LoopLag(asio::io_context& io, const char* name);
  ~LoopLag();
  LoopLag(const LoopLag&) = delete;
  LoopLag& operator=(const LoopLag&) = delete;

  /// Of all loops that run, for `spoolctl stats`.
  static std::vector<Stats::Loop> all();

  std::chrono::microseconds worst(Clock::time_point now = Clock::now()) const {
    std::int64_t longest = 0;
    for (const Slot& slot : slots_)
      if (slot.number.load(std::memory_order_relaxed) > number_of(now) - slots_in_a_minute)
        longest = std::max(longest, slot.longest.load(std::memory_order_relaxed));
    return std::chrono::microseconds(longest);
  }

  void note(Clock::duration late, Clock::time_point now) {
    const std::int64_t number = number_of(now),
                       us = std::chrono::duration_cast<std::chrono::microseconds>(late).count();
    Slot& slot = slots_[static_cast<std::size_t>(number % slots_in_a_minute)];
    const bool same = slot.number.load(std::memory_order_relaxed) == number;
    if (same && us <= slot.longest.load(std::memory_order_relaxed)) return;
    slot.longest.store(us, std::memory_order_relaxed);
    slot.number.store(number, std::memory_order_relaxed);
  }

 private:
  static constexpr std::int64_t slots_in_a_minute = 6;
  struct Slot {
    std::atomic<std::int64_t> number{-slots_in_a_minute}, longest{0};  // of the ten seconds with this number
  };
  static std::int64_t number_of(Clock::time_point at) {
    return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count() / 10;
  }

  void beat(Clock::time_point due) {
    timer_.expires_at(due);
    timer_.async_wait([this, due](const std::error_code& error) {
      if (error) return;
      const auto now = Clock::now();
      note(now - due, now);
      beat(now + every);
    });
  }

  const std::string name_;
  asio::steady_timer timer_;
  std::array<Slot, slots_in_a_minute> slots_;
};

}  // namespace spoold::server
