// What the operator's requests need from delivery. The daemon passes its lanes; spoolctl without a daemon
// passes NoLanes.
//
// withdraw() asks the lanes that have these recipients of a message in hand to let them go (store/README.md,
// "Facts beat wishes"). The answers, in the order of `numbers`:
// - idle: no lane has it in hand (not claimed, or the claim is being made or settled: the store decides);
// - withdrawn: claimed, its RCPT not sent, and it will not be: the settle of its claim leaves it alone;
// - committed: its RCPT was sent in a transaction that will send, or has sent, content.
// `done` is called exactly once, from any thread; it only hands the answer on. Any thread may call all of
// these.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/delivery/memory.hpp"
#include "protocol/delivery/planner.hpp"
#include "store/spool/types.hpp"

namespace spoold::server {

/// What delivery knows of one route now; the store has the rest (what waits, learned limits).
struct DestinationState {
  std::string route;
  std::string health;                          // up, waiting, half-open; empty: as the store says
  TimePoint until{};                           // waiting: when it is tried again
  std::uint32_t connections = 0;               // open, or being opened
  std::uint32_t in_hand = 0;                   // recipients
  std::uint32_t suspects = 0;                  // among them
  bool in_line = false;                        // waits for one of max_connections
  std::string group{};                         // with whom it shares connections and clock; empty: on its own
  std::optional<delivery::HostMemory> memory;  // of a lane: newer than the store's
};

class Lanes {
 public:
  virtual ~Lanes() = default;
  using Withdrawn = std::function<void(std::vector<delivery::Withdrawal>)>;
  virtual void withdraw(store::Id message, std::vector<std::uint32_t> numbers, Withdrawn done) = 0;
  /// After the edit of `withdrawn` recipients was committed, refused or given up: always to be called, with
  /// all of them. What the store still has as open of them is settled as released, so no claim covers it for
  /// ever.
  virtual void give_back(store::Id message, std::vector<std::uint32_t> numbers) = 0;
  /// These routes have something new that may be due now; empty: look at every route.
  virtual void wake(const std::vector<std::string>& routes) = 0;
  /// An operator asks for an attempt now: the clocks of the hosts of this message's recipients do not wait.
  virtual void retry_now(store::Id message) = 0;
  /// The clocks of these routes' hosts no longer wait, and the routes are looked at now.
  virtual void wake_hosts(const std::vector<std::string>& routes) = 0;
  /// Every route that a lane works on, that waits for its time or for a connection. `done` as of withdraw().
  using Destinations = std::function<void(std::vector<DestinationState>)>;
  virtual void destinations(Destinations done) = 0;
};

/// No daemon runs: nothing is in hand.
class NoLanes : public Lanes {
 public:
  void withdraw(store::Id, std::vector<std::uint32_t> numbers, Withdrawn done) override {
    done(std::vector<delivery::Withdrawal>(numbers.size(), delivery::Withdrawal::idle));
  }
  void give_back(store::Id, std::vector<std::uint32_t>) override {}
  void wake(const std::vector<std::string>&) override {}
  void retry_now(store::Id) override {}
  void wake_hosts(const std::vector<std::string>&) override {}
  void destinations(Destinations done) override { done({}); }
};

}  // namespace spoold::server
