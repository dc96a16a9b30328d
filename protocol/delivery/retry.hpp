// When to try again: the schedule of [delivery] retry, spread by jitter. Jitter is drawn once for a session,
// not for a recipient, so that recipients deferred together stay together: in one claim, and in one transaction.
#pragma once
#include <cstdint>
#include <vector>

#include "protocol/time.hpp"

namespace spoold::delivery {

/// A small reproducible source of jitter (splitmix64); the seed is the caller's.
class Jitter {
 public:
  explicit Jitter(std::uint64_t seed) : state_(seed) {}
  /// A factor between 0.9 and 1.1.
  double factor();
  Duration spread(Duration d) { return scaled(d, factor()); }
  static Duration scaled(Duration d, double factor);

 private:
  std::uint64_t state_;
};

/// The wait after attempt number `attempts` + 1 failed; the last step repeats, an empty schedule means 5
/// minutes.
Duration step(const std::vector<Duration>& schedule, std::uint32_t attempts);

/// `first` doubled for each failure after the first one, at most an hour: the clock of a host or of a sender.
Duration doubling(Duration first, std::uint32_t failures);

}  // namespace spoold::delivery
