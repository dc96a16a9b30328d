#include "protocol/delivery/retry.hpp"

#include <algorithm>

namespace spoold::delivery {

double Jitter::factor() {
  state_ += 0x9e3779b97f4a7c15ull;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  return 0.9 + 0.2 * static_cast<double>(z >> 11) / static_cast<double>(1ull << 53);
}

Duration Jitter::scaled(Duration d, double factor) {
  return Duration(static_cast<Duration::rep>(static_cast<double>(d.count()) * factor));
}

Duration step(const std::vector<Duration>& schedule, std::uint32_t attempts) {
  if (schedule.empty()) return std::chrono::minutes(5);
  return schedule[std::min<std::size_t>(attempts, schedule.size() - 1)];
}

Duration doubling(Duration first, std::uint32_t failures) {
  const std::uint32_t doubled = std::min(failures > 0 ? failures - 1 : 0u, 10u);
  return std::min<Duration>(first * (1 << doubled), std::chrono::hours(1));
}

}  // namespace spoold::delivery
