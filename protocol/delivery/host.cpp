#include "protocol/delivery/host.hpp"

#include <algorithm>
#include <utility>

namespace spoold::delivery {
namespace {
constexpr std::uint32_t mute_of_a_fault = 4;  // connections in a row on which no RCPT was answered
constexpr std::size_t slow_of_a_host = 4;     // recipients that answered late, alone
constexpr Duration evidence_lasts = std::chrono::minutes(15);  // of one drop, till the next one like it
constexpr std::uint32_t clean_for_wide_window = 16;
constexpr std::uint32_t overlapped_drops_enough = 2;
constexpr std::uint32_t most_connections = 1000;
constexpr Duration concurrency_lasts = std::chrono::hours(24);
constexpr std::uint32_t deepest = 32;
constexpr Duration careful_for = std::chrono::hours(1);  // after a silence that was asked for
}  // namespace

void Host::restore(const HostMemory& m, TimePoint now) {
  until_ = m.until;
  failures_ = m.failures;
  half_open_ = m.half_open;
  last_error_ = m.last_error;
  error_at_ = m.error_at;
  last_commit_ = m.last_commit;
  last_drop_ = m.last_drop;
  drops_ = m.last_drop == TimePoint{} ? 0 : 1;
  overlap_off_until_ = m.overlap_off_until;
  clean_ = m.wide_window ? clean_for_wide_window : 0;
  bore_ = m.connections;
  silences_ = static_cast<std::uint32_t>(m.silences.value);
  silent_until_ = m.silences.since;
  if (silences_ > 0) careful_until_ = silent_until_ + careful_for;
  if (m.slow.value > 0) pace_.begin(Duration(m.slow.value), m.slow.since);
  // Slow start again, from half of what it bore not long ago.
  if (now - m.last_commit < concurrency_lasts) allowed_ = std::clamp(m.connections / 2, 1u, most_connections);
  if (now < std::max(careful_until_, pace_.until())) {
    allowed_ = 1;
    growth_from_ = std::max(silent_until_, pace_.until());
  }
}

void Host::remember(HostMemory& m) const {
  m.until = until();
  m.failures = failures_;
  m.half_open = half_open_;
  m.last_error = last_error_;
  m.error_at = error_at_;
  m.connections = bore_;
  m.wide_window = clean_ >= clean_for_wide_window;
  m.last_commit = last_commit_;
  m.last_drop = last_drop_;
  m.overlap_off_until = overlap_off_until_;
  m.silences = {silences_, silent_until_};
  m.slow = {static_cast<std::uint64_t>(pace_.lasts().count()), pace_.since()};
}

void Host::note_error(std::string text, TimePoint now) {
  last_error_ = std::move(text);
  error_at_ = now;
}

void Host::fault(TimePoint now, std::string why) {
  ++failures_;
  Duration wait = doubling(std::chrono::minutes(1), failures_);
  // Each of several connections had a suspect of its own, and the host delivered a moment ago: it may have
  // been as many culprits at the same moment. One connection finds out soon.
  if (coincidence_ == now && failures_ == 1 && now - last_commit_ < std::chrono::minutes(1) &&
      !limits_->isolation_waits.empty())
    wait = std::min(wait, limits_->isolation_waits.front());
  until_ = now + jitter_->spread(wait);
  half_open_ = true;
  allowed_ = 1;
  bore_ = std::min(bore_, 1u);
  streak_ = 0;
  mute_ = {};
  recent_.clear();
  note_error(std::move(why), now);
}

// The host answers: it is neither half-open afterwards, nor does the next fault wait longer for this.
void Host::rest(TimePoint until, std::string why, TimePoint now) {
  until_ = std::max(until_, until);
  note_error(std::move(why), now);
}

void Host::silence(Duration first, std::string why, TimePoint now) {
  if (now > silent_until_ + std::max(first, careful_for)) silences_ = 0;
  Duration wait = first;
  for (std::uint32_t n = 0; n < silences_ && wait < longest_silence; ++n)
    wait = std::min(wait * 2, longest_silence);
  ++silences_;
  until_ = std::max(until_, now + jitter_->spread(std::max(wait, first)));
  silent_until_ = growth_from_ = until_;
  careful_until_ = until_ + careful_for;
  half_open_ = true;
  allowed_ = bore_ = 1;
  note_error(std::move(why), now);
}

void Host::slow(Duration lasts, std::string why, TimePoint now) {
  pace_.begin(lasts, now);
  allowed_ = 1;
  growth_from_ = std::max(growth_from_, pace_.until());
  note_error(std::move(why), now);
}

// On a clock of its own, because it ends with the group's fault: what the lane waits for itself goes on.
void Host::told(TimePoint until, std::uint32_t failures, std::string why, TimePoint now) {
  group_until_ = std::max(group_until_, until);
  failures_ = failures;
  half_open_ = true;
  allowed_ = 1;
  note_error(std::move(why), now);
}

// The group's probe frees this lane too, so nothing of the fault may be left on its own clock.
void Host::shared() {
  group_until_ = std::max(group_until_, std::exchange(until_, {}));
}

void Host::freed() {
  group_until_ = {};
}

// What it waits for is as far away as it was.
void Host::set_back(Duration by) {
  for (TimePoint* t :
       {&until_, &group_until_, &more_from_, &reoffer_, &growth_from_, &silent_until_, &careful_until_})
    if (*t > TimePoint{} + by) *t -= by;
  pace_.set_back(by);
  budget_.set_back(by);
}

void Host::answered(TimePoint opened) {
  half_open_ = false;
  if (opened < refused_at_) return;  // older than the refusal: shows nothing about room for one more
  refusals_ = 0;
  more_from_ = {};
}

// Several of them, because one that is slow alone is a slow recipient, not a slow host.
void Host::answered_alone(const std::string& who, Duration after) {
  if (after < patience_) return;
  slow_.insert(who);
  if (slow_.size() < slow_of_a_host) return;
  slow_.clear();
  patience_ = std::min<Duration>(patience_ * 2, std::chrono::minutes(5));
}

void Host::committed(TimePoint now) {
  half_open_ = false;
  failures_ = 0;
  streak_ = 0;
  mute_ = {};

  last_commit_ = now;
  ++commits_;
  ++clean_;
  depth_ = std::min(depth_ + 1, deepest);
  recent_.clear();
  bore_ = std::max(bore_, allowed_);
  // Slow start: doubles with each round of deliveries, not for a minute after "one too many".
  if (now < growth_from_) return;
  allowed_ = std::min(allowed_ + 1, most_connections);
  if (now < careful_until_) growth_from_ = now + std::chrono::minutes(1);
}

void Host::clear() {
  until_ = group_until_ = more_from_ = silent_until_ = careful_until_ = {};
  silences_ = 0;
  if (pace_.lasts() > Duration{}) growth_from_ = {};
  pace_.end();
  reoffer_ = {};
  budget_.clear();
}

void Host::refused(std::uint32_t open, TimePoint now) {
  allowed_ = std::max(1u, std::min(allowed_, open));
  bore_ = std::min(bore_, allowed_);
  growth_from_ = now + jitter_->spread(std::chrono::minutes(1));
  if (now < more_from_) return;  // asked for at the same time as the one that was refused before
  refused_at_ = now;
  const Duration pause = doubling(std::chrono::seconds(1), ++refusals_);
  more_from_ = now + std::min<Duration>(jitter_->spread(pause), std::chrono::minutes(1));
}

// Whatever the drop means, suspects wait after it. Then the peer's own words decide, and without any only a
// pattern of several drops.
bool Host::dropped(const DropRecord& drop, std::uint32_t open_before, bool host_words, TimePoint now) {
  ++drops_;
  last_drop_ = now;
  clean_ = 0;
  depth_ = 1;
  const bool productive = drop.messages > 0;
  delay_suspects(productive, now);
  if (drop.named) {  // the peer names a recipient or a sender: by that it says that the host is well
    mute_ = {};
    return false;
  }
  note(drop, now);
  if (host_words) {
    // Beside connections that are served it was one too many.
    if (open_before <= 1 || now - last_commit_ > std::chrono::minutes(1)) return true;
    refused(open_before - 1, now);
    return false;
  }
  return mute(drop, now) || side_by_side(open_before, productive, now) || (!productive && of_two_messages());
}

// A productive drop has paid for itself: the shortest wait, and no budget.
void Host::delay_suspects(bool productive, TimePoint now) {
  const auto& waits = limits_->isolation_waits;
  const std::size_t step = productive ? 0 : streak_;
  Duration wait = std::chrono::seconds(5);
  if (!waits.empty()) wait = waits[std::min(step, waits.size() - 1)];
  if (!productive) budget_.spend(now, limits_->isolation_window);
  streak_ = productive ? 0 : streak_ + 1;
  reoffer_ = std::max(reoffer_, now + jitter_->spread(wait));
}

void Host::note(const DropRecord& drop, TimePoint now) {
  recent_.push_back({now, drop.opened, drop.message, drop.suspect,
                     drop.message != 0 && drop.finding.stage != Stage::rcpt,
                     drop.finding.stage != Stage::rcpt && !drop.finding.complete,
                     drop.how == Drop::How::timeout, drop.explained});
  if (recent_.size() > 16) recent_.pop_front();
}

// Connections in a row on which no RCPT was answered. With PIPELINING a message that the peer does not like
// ends each of them at its MAIL: that is evidence against this message, until another one fares alike.
bool Host::mute(const DropRecord& drop, TimePoint now) {
  if (drop.in_connection > 0 || now - mute_.last > evidence_lasts) mute_ = {};
  if (drop.in_connection > 0 || drop.explained) return false;
  if (mute_.connections++ == 0) mute_.message = drop.message;
  if (drop.finding.stage != Stage::mail || drop.message != mute_.message) mute_.only_its_mail = false;
  mute_.last = now;
  return mute_.connections >= mute_of_a_fault && !mute_.only_its_mail;
}

// Several connections that were open side by side and ended at the same moment: the more so when no recipient
// can be meant.
bool Host::side_by_side(std::uint32_t open_before, bool productive, TimePoint now) {
  TimePoint first = now;
  for (const Ended& e : recent_)
    if (now - e.at <= std::chrono::seconds(1)) first = std::min(first, e.at);
  std::uint32_t together = 0, like_host = 0;
  for (auto it = recent_.begin(); it != recent_.end(); ++it) {
    // The same recipient in several messages, or one message on several connections, is one cause.
    const bool one_culprit = std::any_of(recent_.begin(), it, [&](const Ended& e) {
      return (!it->suspect.empty() && e.suspect == it->suspect) ||
             (it->of_message && e.of_message && e.message == it->message);
    });
    if (it->at < first || it->opened >= first || one_culprit || it->timed_out) continue;
    ++together;
    if (it->like_host && !productive) ++like_host;
  }
  const std::uint32_t open_then = open_before + together - 1;
  if (like_host >= 2) return true;
  if (together < std::max(3u, (open_then * 3 + 3) / 4)) return false;
  coincidence_ = now;
  return true;
}

// Two of the last three sessions, with nothing delivered in between, of messages that share no suspect. Not
// where one of them was expected to end: suspects are offered again when nobody else has anything to send, so
// two culprits of two messages meet here by construction.
bool Host::of_two_messages() const {
  if (recent_.size() < 2 || streak_ < 2) return false;
  const Ended &last = recent_.back(), &before = recent_[recent_.size() - 2];
  if (last.timed_out || before.timed_out) return false;  // a silent recipient is known by its time-out
  return !last.explained && !before.explained && last.at - before.at <= evidence_lasts &&
         last.message != before.message && last.suspect != before.suspect;
}

void Host::refused_command() {
  if (depth_ > 2) depth_ = std::max(2u, depth_ / 2);
}

void Host::overlap_dropped(TimePoint now) {
  if (++overlapped_drops_ >= overlapped_drops_enough) overlap_off(now);
}

TimePoint Host::reoffer_at(TimePoint now) const {
  return std::max(reoffer_, budget_.free_at(now, limits_->isolation_budget, limits_->isolation_window));
}

std::uint32_t Host::unproductive(TimePoint now) const {
  return budget_.spent(now, limits_->isolation_window);
}

// At a drop each RCPT in flight becomes doubtful and goes in lock-step, so a host that drops gets few at a time.
std::uint32_t Host::window(TimePoint now) const {
  if (drops_ > 0 && now - last_drop_ < std::chrono::hours(24 * 30)) return 8;
  return clean_ >= clean_for_wide_window ? 32 : 8;
}

}  // namespace spoold::delivery
