// What the lanes of one group (a provider, or routes with the same MX hosts; destination.hpp) have in common:
// its connections, who waits for one, its clock after a fault, its rate, and the budget for suspects. Pure:
// times come in; nothing here knows a recipient.
//
// Guarantees: never more connections than it may have; while its clock waits none, then one that probes until
// something is answered on it; connections grow by one with each that is answered, and by one in ten seconds,
// and fall when one too many is refused. A fault of one lane is the group's only where nothing speaks against
// it: no other lane is connected, nor was a moment ago or is on its way when the reply is 421 ("one too many"), and it
// was the same host or the provider's own words.
#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/delivery/budget.hpp"
#include "protocol/delivery/outcome.hpp"
#include "protocol/delivery/rate.hpp"

namespace spoold::delivery {

/// Which group a route belongs to, and what binds the group.
struct GroupRules {
  std::string name;
  std::uint32_t connections = 0;  // of all its routes together
  bool same_hosts = false;        // its routes have the same MX hosts
  std::uint64_t rate = 0;         // transactions in `rate_per`; 0: as many as go
  Duration rate_per = std::chrono::seconds(1);
  std::uint32_t messages = 0;          // of one connection; 0: any number
  std::uint32_t isolation_budget = 0;  // unproductive drops in `isolation_window`; 0: any number
  Duration isolation_window{};
};

class Group {
 public:
  using Fault = HostFault;
  struct Answer {
    bool granted = false;
    TimePoint until{};           // not granted: ask again then, or when called
    std::optional<Fault> fault;  // that is what it waits for
  };

  Group();
  void set(const GroupRules&);
  bool paced() const { return rate_count_ > 0; }

  /// One more connection for this route, of at most `most`; give() it back. `modest`: only if nobody stands
  /// in line (it has one, or just gave way). A route that has none stands in line when it is not granted one.
  Answer take(const std::string& route, std::uint32_t most, bool has_one, bool modest, TimePoint now);
  void give(bool yielded);
  /// Somebody without a connection waits for one.
  bool crowded() const { return !line_.empty(); }
  /// True: the caller is to give up a connection for one in line (give(true) when it has ended).
  bool yield();
  /// Routes that should ask again now.
  std::vector<std::string> take_calls() { return std::exchange(calls_, {}); }

  // A connection.
  void connected() { ++connected_; }  // EHLO was answered
  void answered(TimePoint now);       // so was a transaction, for the first time
  void parted();                      // it ends
  /// The hosts answered, but take no mail of the lane that asked: the fault is over, nothing else is known.
  void reached(TimePoint now);
  void refused(TimePoint now);  // it was one too many
  /// True: the hosts serve others, and this reply to one more connection says no more than that it was one too many.
  /// `own`: connections of this lane that are connected.
  bool one_too_many(const LastReply& why, std::uint32_t own, TimePoint now);
  /// False: it is not the group's.
  bool fault(const Fault& fault, std::uint32_t own, TimePoint now);
  /// The hosts asked one lane for silence. True: it is the group's, which nobody ends before `until`: no other lane is
  /// connected, or a second lane is asked while the first one waits. Then one connection, and one more at a time.
  bool asked(const Fault& fault, const void* lane, std::uint32_t own, TimePoint now);
  void clear(TimePoint wished);  // an operator's wish; he did not know of later faults

  // The rate. A turn that was not used is given back.
  bool take_turn(TimePoint now) { return rate_.take(now); }
  void give_turn() { rate_.give_back(); }
  TimePoint turn_at(TimePoint now) const { return rate_.at(now); }

  // The budget for suspects (isolation.md section 7).
  void unproductive(TimePoint now);
  TimePoint offer_at(TimePoint now) const { return budget_.free_at(now, most_unproductive_, window_); }

  std::uint32_t open() const { return open_; }
  /// Nothing is open, and nothing worth knowing would be lost.
  bool forgettable(TimePoint now) const;

 private:
  /// Said by the hosts that all share, and not of one domain.
  bool concerns_all(const LastReply& why) const;
  std::uint32_t allowed(TimePoint now) const;
  bool end_fault(TimePoint now);  // true: there was one, and a probe was awaited
  void call(std::uint32_t most);

  bool same_hosts_ = false, half_open_ = false;
  std::uint64_t rate_count_ = 0;
  Duration rate_per_{}, window_{};
  std::uint32_t most_unproductive_ = 0;
  Budget budget_;
  Rate rate_;
  std::optional<Fault> fault_;
  bool silence_ = false;         // it was asked for
  const void* asked_ = nullptr;  // the lane that was asked last
  TimePoint asked_until_{};
  std::uint32_t open_ = 0, connected_ = 0, excused_ = 0, base_;
  std::size_t yielding_ = 0;
  TimePoint growth_from_{}, seen_{}, served_{};
  std::deque<std::string> line_;
  std::vector<std::string> calls_;
};

/// A Group and what guards it, where lanes of several threads share it: lock() and unlock() by who derives.
class SharedGroup {
 public:
  virtual ~SharedGroup() = default;
  template <class Ask>
  auto with(Ask ask) {
    struct Guard {
      explicit Guard(SharedGroup& s) : shared(s) { shared.lock(); }
      ~Guard() {
        auto calls = shared.group_.take_calls();
        shared.unlock();
        if (!calls.empty()) shared.call(std::move(calls));
      }
      Guard(const Guard&) = delete;
      Guard& operator=(const Guard&) = delete;
      SharedGroup& shared;
    } guard(*this);
    return ask(group_);
  }

 protected:
  virtual void lock() {}
  virtual void unlock() {}
  virtual void call(std::vector<std::string> routes) = 0;
  const Group& group() const { return group_; }

 private:
  Group group_;
};

}  // namespace spoold::delivery
