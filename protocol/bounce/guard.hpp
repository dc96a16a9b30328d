// The spike guard of a list: when many of its members at one domain fail in the same way within an hour, it is the domain that is
// ill, or our reputation there, not they. Pure: the time is an argument.
//
// - A member counts once: only failures that moved his score are counted.
// - A spike: within an hour of the first one at least 10 members failed, and more than `bounce_guard` percent of the list's members at
//   this domain. The failures of this cause there since then did not happen (the caller takes them back), and for a day further
//   ones do not count.
// - What goes on for longer is no spike: counting begins again, and there is no other spike of this cause there for 30 days. So a
//   domain that is gone for good loses its members as others do.
// See also: score.hpp, store/directory/guards.hpp (the row for each list, domain and cause).
#pragma once
#include <cstdint>
#include <functional>

#include "protocol/bounce/score.hpp"

namespace spoold::bounce {

constexpr std::uint32_t guard_least = 10;
constexpr Duration guard_window = std::chrono::hours(1), guard_lasts = std::chrono::hours(24),
                   guard_rests = std::chrono::hours(24 * 30);

/// Failures of one cause at one domain.
struct Guard {
  TimePoint from{};           // the first one of the hour
  std::uint32_t failed = 0;   // members, since then
  std::uint32_t members = 0;  // of the list at this domain, when enough of them had failed; 0: not asked yet
  TimePoint until{};          // nothing counted before; the zero time: no spike yet
  bool operator==(const Guard&) const = default;
};

inline bool suspended(const Guard& guard, TimePoint now) {
  return now < guard.until;
}

/// A failure at this time has moved a member's score. True: it makes a spike, which began at `guard.from`. `members`: asked once an
/// hour at most.
bool spike(Guard& guard, const list::BounceRules& rules, TimePoint at,
           const std::function<std::uint32_t()>& members);

}  // namespace spoold::bounce
