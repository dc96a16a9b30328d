// The budget for suspects, of one host or of a group (isolation.md section 7): how many unproductive drops in
// a window of time may be spent on offering them again.
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>

#include "protocol/time.hpp"

namespace spoold::delivery {

class Budget {
 public:
  void spend(TimePoint now, Duration window) {
    while (!drops_.empty() && (drops_.front() + window <= now || drops_.size() == kept)) drops_.pop_front();
    drops_.push_back(now);
  }
  std::uint32_t spent(TimePoint now, Duration window) const {
    return static_cast<std::uint32_t>(
        std::ranges::count_if(drops_, [&](TimePoint t) { return t + window > now; }));
  }
  /// When a suspect may be offered: `now` or later. `most`: drops in `window`; 0: any number.
  TimePoint free_at(TimePoint now, std::uint32_t most, Duration window) const {
    if (most == 0 || drops_.size() < most) return now;
    return std::max(now, drops_[drops_.size() - most] + window);
  }
  void clear() { drops_.clear(); }
  void set_back(Duration by) {  // the system's clock was
    for (TimePoint& t : drops_) t -= by;
  }

 private:
  static constexpr std::size_t kept = 1000;
  std::deque<TimePoint> drops_;  // oldest first
};

}  // namespace spoold::delivery
