// A member's bounce score: which failures count, and what is to be done about a member whose mail keeps failing. Pure: the
// time is an argument, so a year of a list is a loop.
//
// The rules (their days are Mailman's; the settings are those of the list):
// - a failure is 1 point, a soft one half a point; each day (UTC) gives a member one point at most;
// - failures are forgotten when the last of them is more than `bounce_stale` days old;
// - at `bounce_threshold` a probe is sent and the score begins at 0 again; without `bounce_probe` the member is disabled;
// - a probe that bounces within 10 days disables the member;
// - a disabled member is warned `bounce_warnings` times, the first time at once, then each `bounce_interval`; one interval
//   after the last warning the member is removed.
// Guarantees: nothing else moves a score; a clock that goes back counts nothing twice. See also: list/settings.hpp,
// smtp/reply_class.hpp (which replies are failures of the recipient), store/directory/README.md (the stored form).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/list/settings.hpp"
#include "protocol/time.hpp"

namespace spoold::bounce {

struct Event {
  TimePoint at{};
  bool soft = false;  // half a point
  std::string cause;  // the rule of conf/replies.toml that the failure met, or "expired"
};

/// What is remembered of one member.
struct Score {
  std::vector<Event> counted;  // the current score: one a day at most, oldest first
  std::vector<Event> led;      // those that led to the last probe, or to the disabling
  std::string token;           // of the last probe; empty: none is outstanding
  TimePoint token_until{};
  TimePoint disabled{};        // since; the zero time: not disabled
  std::uint32_t warnings = 0;  // sent since then
  TimePoint warned{};

  std::uint32_t half_points() const;  // of `counted`
  bool empty() const { return counted.empty() && led.empty() && token.empty() && disabled == TimePoint{}; }
};

enum class Act : std::uint8_t {
  nothing,
  probe,    // send a probe: the caller makes the token (probe_sent)
  disable,  // by_bounce; the first warning is due with it
  warn,     // one of the further warnings
  remove,
  enable,  // undo(): what disabled the member is taken back
};

constexpr Duration probe_lifetime = std::chrono::hours(24 * 10);

/// A failure of a member whose delivery is enabled. `counts`: whether the score grew.
struct Recorded {
  bool counts = false;
  Act act = Act::nothing;
};
Recorded record(Score&, const list::BounceRules&, const Event&);
void probe_sent(Score&, std::string token, TimePoint now);
/// The outstanding probe bounced. nothing: the token had expired, or the member is disabled already.
Act probe_bounced(Score&, const list::BounceRules&, TimePoint now);
/// What is due by now. Forgets what is stale: afterwards the score may be empty.
Act tick(Score&, const list::BounceRules&, TimePoint now);
/// tick() does nothing before this time; the last time there is: it never will.
TimePoint next_tick(const Score&, const list::BounceRules&);
/// Takes back the failures of this cause that came at `since` or later. enable: without them the member would not be disabled.
Act undo(Score&, const list::BounceRules&, std::string_view cause, TimePoint since);

}  // namespace spoold::bounce
