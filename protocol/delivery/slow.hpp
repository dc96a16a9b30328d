// A host that asked for a slower pace (reply action `lane_slow`): for a time one transaction in a ninetieth of this time, twice
// as many after each sixth of it without being asked again. 90 minutes: one a minute, then two, four, eight. Pure: times come in.
#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>

#include "protocol/time.hpp"

namespace spoold::delivery {

class Slow {
 public:
  void begin(Duration lasts, TimePoint since) {
    since_ = since;
    lasts_ = lasts;
    next_ = since + between(since);
  }
  void end() { lasts_ = {}; }
  TimePoint until() const { return since_ + lasts_; }
  bool on(TimePoint now) const { return lasts_ > Duration{} && now < until(); }

  /// Takes the turn of one transaction; false: not before at().
  bool take(TimePoint now) {
    if (!on(now)) return true;
    if (now < next_) return false;
    before_ = std::exchange(next_, now + between(now));
    return true;
  }
  /// The one just taken was not used.
  void give_back() { next_ = before_; }
  TimePoint at(TimePoint now) const { return on(now) ? std::max(now, std::min(next_, until())) : now; }
  void set_back(Duration by) {
    for (TimePoint* t : {&since_, &next_, &before_})
      if (*t > TimePoint{} + by) *t -= by;
  }

  TimePoint since() const { return since_; }
  Duration lasts() const { return lasts_; }

 private:
  static constexpr int parts = 6, first = 90;
  Duration between(TimePoint now) const {
    const auto part = std::clamp<Duration::rep>((now - since_) * parts / lasts_, 0, parts - 1);
    return std::max(Duration(1), lasts_ / (first << part));
  }
  TimePoint since_{}, next_{}, before_{};
  Duration lasts_{};
};

}  // namespace spoold::delivery
