// After a fault of this machine (no file descriptors, no such source address, no password) or an exception: no
// connection is opened for a while, longer each time, and the same words are logged once in ten minutes. No host
// is to blame: its clock does not move and nobody is charged.
#pragma once
#include <algorithm>
#include <chrono>
#include <string>

#include "protocol/time.hpp"

namespace spoold::server {

class Pause {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr Duration shortest = std::chrono::seconds(1), longest = std::chrono::seconds(30);

  TimePoint until() const { return until_; }
  void at_least(TimePoint until) { until_ = std::max(until_, until); }
  /// True: the words are to be logged.
  bool fault(const std::string& why, TimePoint now, Clock::time_point clock) {
    length_ = std::clamp(length_ * 2, shortest, longest);
    until_ = now + length_;
    if (why == why_ && clock - logged_ < std::chrono::minutes(10)) return false;
    why_ = why;
    logged_ = clock;
    return true;
  }
  /// A connection was made: the next fault is the first one.
  void ends() {
    length_ = {};
    why_.clear();
  }

 private:
  TimePoint until_{};
  Duration length_{};
  std::string why_;
  Clock::time_point logged_{};
};

}  // namespace spoold::server
