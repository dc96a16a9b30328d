// The time by which things get too old, apart from the clock: a machine that starts with a wrong clock, or whose clock
// jumps, would make all held posts, requests, scores and queued mail old at once, and what has expired does not come back.
//
// So when the clock has passed more than a day that nobody has seen, age goes on from the last time that was believed, for an
// hour: time enough for NTP or an operator to put the clock right. A clock that still says so after the hour is believed.
// Pure: both clocks are arguments. Not for several threads.
#pragma once
#include <chrono>

#include "protocol/time.hpp"

namespace spoold {

class ClockWatch {
 public:
  using Steady = std::chrono::steady_clock::time_point;
  static constexpr Duration jump = std::chrono::hours(24), doubt = std::chrono::hours(1);

  /// `last`: a time that was seen before the start; the epoch: none was.
  ClockWatch(TimePoint last, TimePoint now, Steady steady)
      : seen_(last == TimePoint{} ? now : last), steady_(steady) {}

  /// To be called every few minutes. True: it has begun or ended to doubt the clock.
  bool look(TimePoint now, Steady steady) {
    const TimePoint expected = seen_ + std::chrono::floor<Duration>(steady - steady_);
    const bool before = doubts_;
    if (!doubts_ && now - expected > jump) {
      doubts_ = true;
      until_ = steady + doubt;
    } else if (doubts_ && (steady >= until_ || now - expected <= jump)) {
      doubts_ = false;
    }
    if (doubts_) return !before;
    seen_ = now;
    steady_ = steady;
    return before;
  }

  bool doubts() const { return doubts_; }
  /// The time that age counts to.
  TimePoint age(TimePoint now, Steady steady) const {
    return doubts_ ? seen_ + std::chrono::floor<Duration>(steady - steady_) : now;
  }

 private:
  TimePoint seen_;  // the last time that was believed, and when that was
  Steady steady_, until_{};
  bool doubts_ = false;
};

}  // namespace spoold
