#include "protocol/delivery/group.hpp"

#include <algorithm>

namespace spoold::delivery {
namespace {

constexpr std::uint32_t first = 5;              // connections, before anything is known
constexpr std::uint32_t most_of_all = 100'000;  // take() knows the limit
constexpr Duration grows_each = std::chrono::seconds(10);
constexpr Duration after_refusal = std::chrono::minutes(1);
constexpr Duration ask_in_line = std::chrono::minutes(1);  // usually it is called before
constexpr Duration ask_for_more = std::chrono::seconds(1);
constexpr Duration a_moment = std::chrono::seconds(10);
constexpr std::uint32_t excuses = 3;  // till something is answered again
constexpr Duration remembered = std::chrono::minutes(10);

/// Of a stage at which nothing of a domain has been said: its policy of TLS and its DNS are its own.
bool of_host(Stage stage) {
  return stage != Stage::dns && stage != Stage::starttls && stage != Stage::auth;
}

}  // namespace

Group::Group() : base_(first) {}

void Group::set(const GroupRules& rules) {
  if (rules.rate != rate_count_ || rules.rate_per != rate_per_) rate_ = Rate(rules.rate, rules.rate_per);
  rate_count_ = rules.rate;
  rate_per_ = rules.rate_per;
  same_hosts_ = rules.same_hosts;
  most_unproductive_ = rules.isolation_budget;
  window_ = rules.isolation_window;
}

bool Group::concerns_all(const LastReply& why) const {
  return of_host(why.stage) && (same_hosts_ || why.reply.code != 0);
}

std::uint32_t Group::allowed(TimePoint now) const {
  if (half_open_) return 1;
  if (now <= growth_from_) return base_;
  const auto grown = static_cast<std::uint64_t>((now - growth_from_) / grows_each);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(base_ + grown, most_of_all));
}

// Who already has a connection does not stand in line: it would only be called to take what others wait for.
Group::Answer Group::take(const std::string& route, std::uint32_t most, bool has_one, bool modest,
                          TimePoint now) {
  seen_ = std::max(seen_, now);
  if (growth_from_ == TimePoint{}) growth_from_ = now;
  const bool closed = fault_ && now < fault_->until;
  const std::uint32_t may = std::min(most, allowed(now));
  if (!closed && open_ < may && !(modest && crowded())) {
    ++open_;
    if (!has_one) std::erase(line_, route);
    return {true, {}, {}};
  }
  if (!closed && open_ < may) call(1);  // whoever stands in line and does not come is passed over
  if (!has_one && std::ranges::find(line_, route) == line_.end()) line_.push_back(route);
  if (closed) return {false, fault_->until, fault_};
  return {false, now + (has_one ? ask_for_more : ask_in_line), {}};
}

void Group::give(bool yielded) {
  --open_;
  if (yielded) --yielding_;
  // While the clock waits, whoever is called would lose its place in line for nothing.
  if (!fault_ || seen_ >= fault_->until) call(1);
}

// Called ones have left the line: whoever does not come has lost its place, and take() calls the next one.
void Group::call(std::uint32_t most) {
  const std::uint32_t may = allowed(seen_);
  for (std::uint32_t n = std::min(most, may - std::min(may, open_)); n > 0 && !line_.empty(); --n) {
    calls_.push_back(std::move(line_.front()));
    line_.pop_front();
  }
}

// Not more than stand in line, or all connections would be given up for the first who asks.
bool Group::yield() {
  if (yielding_ >= line_.size()) return false;
  ++yielding_;
  return true;
}

bool Group::end_fault(TimePoint now) {
  seen_ = std::max(seen_, now);
  if (silence_ && fault_ && now < fault_->until) return false;  // a connection that was open before
  if (std::exchange(silence_, false)) growth_from_ = now;       // one more at a time from here
  fault_.reset();
  return std::exchange(half_open_, false);
}

void Group::reached(TimePoint now) {
  if (end_fault(now)) call(first);
}

void Group::answered(TimePoint now) {
  const bool freed = end_fault(now);
  served_ = seen_;
  excused_ = 0;
  if (now >= growth_from_ && base_ < most_of_all) ++base_;
  call(freed ? first : 1);
}

// It was served until now: see fault().
void Group::parted() {
  --connected_;
  served_ = seen_;
}

void Group::refused(TimePoint now) {
  seen_ = std::max(seen_, now);
  // The refused connection is one of those open.
  base_ = std::max(1u, std::min(allowed(now), open_ > 0 ? open_ - 1 : 0));
  growth_from_ = now + after_refusal;
}

// Others are being served; or were a moment ago: the peer has not yet noticed that they left; or are on their way: of
// five that open at once, those that are refused hear of it before the others have said EHLO.
bool Group::one_too_many(const LastReply& why, std::uint32_t own, TimePoint now) {
  if (!concerns_all(why) || why.reply.code != 421) return false;
  const bool moment = now - served_ < a_moment || open_ > connected_ + 1;
  if (connected_ <= own && (!moment || excused_ >= excuses)) return false;
  ++excused_;
  refused(now);
  return true;
}

// Of another policy or host it is no fault of all; nor when others are served.
bool Group::fault(const Fault& fault, std::uint32_t own, TimePoint now) {
  if (!concerns_all(fault.why) || one_too_many(fault.why, own, now)) return false;
  if (connected_ > own) {
    refused(now);
    return false;
  }
  seen_ = std::max(seen_, now);
  // Several that failed at the same time are one fault.
  if (!fault_ || fault.until > fault_->until) fault_ = fault;
  half_open_ = true;
  base_ = first;
  growth_from_ = now;
  return true;
}

bool Group::asked(const Fault& fault, const void* lane, std::uint32_t own, TimePoint now) {
  if (!concerns_all(fault.why)) return false;
  const bool second = asked_ != nullptr && asked_ != lane && now < asked_until_;
  asked_ = lane;
  asked_until_ = fault.until;
  if (connected_ > own && !second) {
    refused(now);
    return false;
  }
  seen_ = std::max(seen_, now);
  if (!fault_ || fault.until > fault_->until) fault_ = fault;
  half_open_ = silence_ = true;
  base_ = 1;
  growth_from_ = fault_->until;
  return true;
}

void Group::clear(TimePoint wished) {
  if (fault_ && fault_->why.at > wished) return;
  if (fault_) fault_->until = {};
  budget_.clear();
}

void Group::unproductive(TimePoint now) {
  seen_ = std::max(seen_, now);
  budget_.spend(now, window_);
}

bool Group::forgettable(TimePoint now) const {
  const TimePoint last = std::max(fault_ ? fault_->until : TimePoint{}, seen_);
  return open_ == 0 && last + std::max(remembered, window_) <= now && rate_.at(now) <= now;
}

}  // namespace spoold::delivery
