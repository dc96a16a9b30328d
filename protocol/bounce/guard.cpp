#include "protocol/bounce/guard.hpp"

#include <algorithm>

namespace spoold::bounce {

bool spike(Guard& guard, const list::BounceRules& rules, TimePoint at,
           const std::function<std::uint32_t()>& members) {
  if (rules.guard == 0) return false;
  if (guard.until != TimePoint{} && at < guard.until + guard_rests) return false;
  const bool same_hour = guard.failed > 0 && at < guard.from + guard_window && guard.from < at + guard_window;
  if (!same_hour) guard = {at, 0, 0, {}};
  guard.from = std::min(guard.from, at);
  if (++guard.failed < guard_least) return false;
  if (guard.members == 0) guard.members = std::max<std::uint32_t>(members(), 1);
  if (std::uint64_t{guard.failed} * 100 <= std::uint64_t{guard.members} * rules.guard) return false;
  guard.until = at + guard_lasts;
  guard.failed = 0;
  return true;
}

}  // namespace spoold::bounce
