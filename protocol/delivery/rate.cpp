#include "protocol/delivery/rate.hpp"

#include <algorithm>

namespace spoold::delivery {

// The generic cell rate algorithm: one time says all that a bucket with its level would.
Rate::Rate(std::uint64_t count, Duration per) {
  if (count == 0) return;
  each_ = Fine(std::max<Fine::rep>(Fine(per).count() / static_cast<Fine::rep>(count), 1));
  ahead_ = std::max(Fine(std::chrono::seconds(1)) - each_, Fine(0));
}

TimePoint Rate::at(TimePoint now) const {
  if (each_ == Fine(0) || next_ - ahead_ <= fine(now)) return now;
  return std::chrono::ceil<Duration>(std::chrono::sys_time<Fine>(next_ - ahead_));
}

bool Rate::take(TimePoint now) {
  if (each_ == Fine(0)) return true;
  if (!ready(now)) return false;
  next_ = std::max(next_, fine(now)) + each_;
  return true;
}

}  // namespace spoold::delivery
