// The health of one next hop: its clock after faults, half-open probing, how many connections it bears and
// how many transactions in flight on each, and the waits and budget that bind the re-offering of suspects
// (isolation.md sections 6 and 7). Knows no recipient.
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <set>
#include <string>

#include "protocol/delivery/budget.hpp"
#include "protocol/delivery/learned.hpp"
#include "protocol/delivery/memory.hpp"
#include "protocol/delivery/retry.hpp"
#include "protocol/delivery/slow.hpp"

namespace spoold::delivery {

class Host {
 public:
  Host(const Limits& limits, Jitter& jitter) : limits_(&limits), jitter_(&jitter) {}

  void restore(const HostMemory&, TimePoint now);
  void remember(HostMemory&) const;

  // The host's clock.
  bool waiting(TimePoint now) const { return now < until(); }
  TimePoint until() const { return std::max(until_, group_until_); }
  bool half_open() const { return half_open_; }
  std::uint32_t failures() const { return failures_; }
  void fault(TimePoint now, std::string why);
  void rest(TimePoint until, std::string why,
            TimePoint now);  // asked for by the peer (greylisting), no fault
  /// Its reply asks for silence. `first`: the wait of the first time, doubled each time that follows soon, to four hours at
  /// most (unless `first` is longer). Then one connection, and one more a minute.
  void silence(Duration first, std::string why, TimePoint now);
  /// Its reply asks for a slower pace, and for one connection, for so long.
  void slow(Duration lasts, std::string why, TimePoint now);
  Slow& pace() { return pace_; }
  const Slow& pace() const { return pace_; }
  void told(TimePoint until, std::uint32_t failures, std::string why, TimePoint now);  // the group's fault
  void shared();               // its own fault is the group's too, and ends with it
  void freed();                // the group's fault is over; what this lane waits for on its own account stays
  void set_back(Duration by);  // the system's clock was
  /// A transaction was answered on a connection opened at `opened`: no longer half-open.
  void answered(TimePoint opened);
  void committed(TimePoint now);
  void clear();  // an operator's wish
  const std::string& last_error() const { return last_error_; }
  void note_error(std::string text, TimePoint now);

  // How many connections (slow start).
  std::uint32_t allowed() const { return half_open_ ? 1 : allowed_; }
  void refused(std::uint32_t open, TimePoint now);  // one too many
  /// No further connection beside others before: 1, 2, 4 ... s after each refusal, at most a minute.
  TimePoint more_from() const { return more_from_; }
  /// A drop; true: it is evidence enough of a fault of the host.
  bool dropped(const DropRecord&, std::uint32_t open_before, bool host_words, TimePoint now);

  /// When the next suspect may be offered, by the waits and the budget; the past: at once.
  TimePoint reoffer_at(TimePoint now) const;

  // Pipelining.
  bool overlap(TimePoint now) const { return now >= overlap_off_until_; }
  void overlap_off(TimePoint now) { overlap_off_until_ = now + std::chrono::hours(24); }
  void overlap_on() { overlap_off_until_ = {}; }
  void overlap_committed() { overlapped_drops_ = 0; }
  /// A drop behind content. Two with no overlapped delivery in between turn overlapping off for a day; not
  /// one, because with VERP every culprit drops behind the content of somebody else.
  void overlap_dropped(TimePoint now);
  /// Transactions in flight on one connection: grows by one with each delivery, which doubles it in a round
  /// trip; halved by each refusal; one after a drop.
  std::uint32_t depth(TimePoint now) const { return overlap(now) ? depth_ : 1; }
  /// A recipient was refused. More of them may be in the pipe, and each uses up the peer's patience.
  void refused_command();
  std::uint32_t window(TimePoint now) const;  // RCPTs in flight

  /// How long one RCPT may stay without an answer while others wait. It is doubled, to 5 min, when several
  /// recipients answer, alone, only after more than that: then it is the host that is slow.
  Duration patience() const { return patience_; }
  void answered_alone(const std::string& who, Duration after);

  TimePoint last_commit() const { return last_commit_; }
  TimePoint last_drop() const { return last_drop_; }
  std::uint64_t commits() const { return commits_; }
  std::uint32_t drops() const { return drops_; }
  std::uint32_t unproductive(TimePoint now) const;  // drops in the window of the budget

 private:
  void delay_suspects(bool productive, TimePoint now);
  void note(const DropRecord&, TimePoint now);
  bool mute(const DropRecord&, TimePoint now);
  bool side_by_side(std::uint32_t open_before, bool productive, TimePoint now);
  bool of_two_messages() const;

  struct Ended {
    TimePoint at{}, opened{};
    std::uint64_t message = 0;
    std::string suspect;
    bool of_message = false;  // at MAIL, DATA or in the content of `message`
    bool like_host = false;   // not at RCPT
    bool timed_out = false;
    bool explained = false;
  };
  const Limits* limits_;
  Jitter* jitter_;
  TimePoint until_{}, last_commit_{}, last_drop_{}, overlap_off_until_{}, growth_from_{}, reoffer_{},
      error_at_{};
  TimePoint group_until_{};  // the part of its clock that ends with the group's fault
  Slow pace_;
  std::uint32_t silences_ = 0;  // asked for in a row
  TimePoint silent_until_{};    // the last one
  TimePoint careful_until_{};   // connections grow by one a minute
  TimePoint coincidence_{};     // of a fault that only connections ended side by side speak for
  std::string last_error_;
  std::uint64_t commits_ = 0;
  TimePoint refused_at_{}, more_from_{};
  std::uint32_t refusals_ = 0;
  Duration patience_ = std::chrono::seconds(10);
  std::set<std::string> slow_;  // recipients, and messages, that took longer
  std::uint32_t failures_ = 0, allowed_ = 1, drops_ = 0, streak_ = 0, clean_ = 0, overlapped_drops_ = 0,
                depth_ = 2;
  /// Connections in a row that ended before any RCPT was answered on them.
  struct Mute {
    std::uint32_t connections = 0;
    std::uint64_t message = 0;  // of the first one
    bool only_its_mail = true;  // all of them ended at MAIL of this message
    TimePoint last{};
  } mute_;
  std::uint32_t bore_ = 0;  // connections at once, since it last refused one
  bool half_open_ = false;
  Budget budget_;
  std::deque<Ended> recent_;  // drops since the last commit, at most 16
};

}  // namespace spoold::delivery
