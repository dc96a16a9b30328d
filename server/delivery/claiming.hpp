// When a lane claims, how much, and the way of a claim from the store into the lane's hand. Pure: no store, no
// planner; the caller names the times.
//
// One claim is on its way at a time. Guarantees: a claim that the store has made stays in coming() until it is
// taken in hand or given up, because nobody else would settle it before the next start; what becomes due while a
// claim is on its way is not forgotten. See also: claims.hpp (what is in hand), lane_claims.cpp (who calls this).
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "store/spool/types.hpp"

namespace spoold::server {

class Claiming {
 public:
  using Clock = std::chrono::steady_clock;

  /// `per_transaction`: recipients, as configured.
  explicit Claiming(std::size_t per_transaction) : per_transaction_(per_transaction) {}

  /// Something of the route is due at this time.
  void due(TimePoint at) { next_due_ = std::min(next_due_, at); }
  /// Nothing of the route is due before; max: nothing at all.
  TimePoint next_due() const { return next_due_; }

  // How much.
  struct Load {
    std::size_t open = 0;  // recipients in hand without an outcome
    std::size_t connections = 0;
    bool crowded = false;  // other lanes wait for a connection
  };
  /// Recipients in hand with which the connections never wait for a claim's commit.
  std::size_t target(const Load&) const;
  bool has_room(const Load& load) const { return load.open <= target(load) * 3 / 4; }
  void had_outcome() { ++closed_; }
  void measure(Clock::time_point);  // outcomes a second; to be called in each turn
  /// The last claims were of one recipient a transaction.
  void mostly_single(bool yes) { mostly_single_ = yes; }

  // The way of a claim.
  struct Ask {
    std::uint32_t recipients = 0;
    bool patient = false;  // what is in hand lasts longer than a commit that waits for company
  };
  /// Begins a claim; nothing: there is no room.
  std::optional<Ask> begin(const Load&, Clock::time_point);
  /// While the store cannot commit, one claim a second tries whether it can again.
  bool may_probe(Clock::time_point at) const { return at >= probe_at_; }
  /// From begin() until the claim is in hand, or there is none.
  bool busy() const { return busy_; }
  void failed(TimePoint now);
  void came(std::vector<store::Claim>, std::uint32_t asked);
  bool has_come() const { return has_come_; }
  std::vector<store::Claim>& coming() { return coming_; }
  /// The store gave as much as was asked for: more may be due.
  bool filled() const;
  /// The store had no slot for the read of the messages: once more in a second.
  void unreadable(TimePoint now) { read_at_ = now + std::chrono::seconds(1); }
  TimePoint read_at() const { return read_at_; }
  /// The planner held this message: true for a claim that is on its way concerns it too.
  void hold(store::Id message) {
    if (busy_) held_.insert(message);
  }
  bool holds(store::Id message) const { return held_.contains(message); }
  void taken(std::optional<TimePoint> due_next);
  /// coming() is given up. A claim that the store is still making comes all the same.
  void abandon();

 private:
  void end();

  const std::size_t per_transaction_;
  TimePoint next_due_{};
  bool busy_ = false, has_come_ = false;
  std::vector<store::Claim> coming_;
  std::uint32_t asked_ = 0;
  TimePoint read_at_{};
  std::set<store::Id> held_;  // while a claim is on its way
  Clock::time_point probe_at_{};
  bool mostly_single_ = false;

  std::uint64_t closed_ = 0, closed_before_ = 0;
  Clock::time_point rate_at_{};
  double rate_ = 0;  // outcomes a second; 0: not known
};

}  // namespace spoold::server
