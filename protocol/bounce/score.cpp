#include "protocol/bounce/score.hpp"

#include <algorithm>
#include <utility>

namespace spoold::bounce {
namespace {

using Day = std::chrono::sys_days;

Day day_of(TimePoint at) {
  return std::chrono::floor<std::chrono::days>(at);
}

std::uint32_t half_points_of(const std::vector<Event>& events) {
  std::uint32_t sum = 0;
  for (const Event& event : events) sum += event.soft ? 1 : 2;
  return sum;
}

/// The whole days between: an event of Monday is one day old during all of Tuesday.
bool stale(const Event& last, const list::BounceRules& rules, TimePoint now) {
  return day_of(last.at) + rules.stale < day_of(now);
}

Act disable(Score& score, const list::BounceRules& rules, TimePoint now) {
  score.token.clear();
  score.disabled = now;
  score.warned = now;
  score.warnings = rules.warnings > 0 ? 1 : 0;
  return rules.warnings > 0 ? Act::disable : Act::remove;
}

}  // namespace

std::uint32_t Score::half_points() const {
  return half_points_of(counted);
}

Recorded record(Score& score, const list::BounceRules& rules, const Event& event) {
  if (!rules.processing || score.disabled != TimePoint{}) return {};
  if (!score.counted.empty() && stale(score.counted.back(), rules, event.at)) score.counted.clear();
  Recorded done;
  // Also what led to a probe has used up its day. A clock that went back is taken for the same day.
  Event* of_today = !score.counted.empty() ? &score.counted.back()
                    : !score.led.empty()   ? &score.led.back()
                                           : nullptr;
  if (of_today != nullptr && day_of(event.at) > day_of(of_today->at)) of_today = nullptr;
  if (of_today == nullptr) {
    score.counted.push_back(event);
    done.counts = true;
  } else if (!score.counted.empty() && of_today->soft && !event.soft) {
    *of_today = event;
    done.counts = true;
  }
  // Also without a new point: the threshold may have been lowered.
  if (score.half_points() < rules.threshold || score.counted.empty()) return done;
  score.led = std::exchange(score.counted, {});
  done.act = rules.probe ? Act::probe : disable(score, rules, event.at);
  return done;
}

void probe_sent(Score& score, std::string token, TimePoint now) {
  score.token = std::move(token);
  score.token_until = now + probe_lifetime;
}

Act probe_bounced(Score& score, const list::BounceRules& rules, TimePoint now) {
  if (score.token.empty() || score.disabled != TimePoint{}) return Act::nothing;
  const bool late = now >= score.token_until;
  score.token.clear();
  return late || !rules.processing ? Act::nothing : disable(score, rules, now);
}

Act tick(Score& score, const list::BounceRules& rules, TimePoint now) {
  if (!score.token.empty() && now >= score.token_until) score.token.clear();
  if (score.disabled == TimePoint{}) {
    if (!score.counted.empty() && stale(score.counted.back(), rules, now)) score.counted.clear();
    if (score.token.empty() && !score.led.empty() && stale(score.led.back(), rules, now)) score.led.clear();
    return Act::nothing;
  }
  if (!rules.processing || now < score.warned + rules.interval) return Act::nothing;
  if (score.warnings >= rules.warnings) return Act::remove;
  ++score.warnings;
  score.warned = now;
  return Act::warn;
}

TimePoint next_tick(const Score& score, const list::BounceRules& rules) {
  if (score.disabled != TimePoint{})
    return rules.processing ? score.warned + rules.interval : TimePoint::max();
  TimePoint next = TimePoint::max();
  const auto by_stale = [&](const std::vector<Event>& events) {
    if (!events.empty())
      next = std::min<TimePoint>(next, day_of(events.back().at) + rules.stale + std::chrono::days(1));
  };
  by_stale(score.counted);
  if (score.token.empty())
    by_stale(score.led);
  else
    next = std::min(next, score.token_until);
  return next;
}

Act undo(Score& score, const list::BounceRules& rules, std::string_view cause, TimePoint since) {
  const auto taken = [&](const Event& event) { return event.cause == cause && event.at >= since; };
  std::erase_if(score.counted, taken);
  if (std::erase_if(score.led, taken) == 0) return Act::nothing;
  if (half_points_of(score.led) >= rules.threshold) return Act::nothing;
  // The probe, or the disabling, should not have been: what is left is the score again.
  const bool was_disabled = score.disabled != TimePoint{};
  score.led.insert(score.led.end(), score.counted.begin(), score.counted.end());
  Score left;
  left.counted = std::move(score.led);
  score = std::move(left);
  return was_disabled ? Act::enable : Act::nothing;
}

}  // namespace spoold::bounce
