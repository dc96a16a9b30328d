// What the control socket asks of delivery (implemented by server/delivery). Facts beat wishes (design
// section 5): an edit first asks the lanes to let go of the recipients, then changes the store, then gives
// back what it did not change. Guarantees: every function may be called from any thread; each callback runs
// once, on a network thread.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "protocol/delivery/planner.hpp"
#include "store/spool/types.hpp"

namespace spoold::server {

class Lanes {
 public:
  virtual ~Lanes() = default;

  struct Answer {
    std::uint32_t number;
    delivery::Withdrawal
        how;  // idle: in no lane's hand; withdrawn: taken out of it; committed: may be on the wire
  };
  /// Waits for a claim in flight. What is `withdrawn` stays claimed in the store: change it with
  /// Edit::withdrawn, and then, changed or not, name it in give_back().
  virtual void withdraw(store::Id message, std::vector<std::uint32_t> numbers,
                        std::function<void(std::vector<Answer>)> done) = 0;
  /// After the edit of withdrawn recipients was committed or given up: what is still open of them is due
  /// again.
  virtual void give_back(store::Id message, std::vector<std::uint32_t> numbers) = 0;

  /// Something became due on these routes.
  virtual void wake(std::span<const std::string> routes) = 0;
  /// An operator's wish: try this message now, clear the clock of its hosts.
  virtual void retry(store::Id message) = 0;
  /// The same for the lane of a next hop: its route or its host. False to the callback: there is no such
  /// lane.
  virtual void wake_host(std::string host, std::function<void(bool)> done) = 0;

  struct LaneState {
    std::string route, host;
    std::uint32_t connections = 0;
    std::size_t in_hand = 0;
    delivery::Health health;
  };
  virtual void describe(std::function<void(std::vector<LaneState>)> done) = 0;
};

}  // namespace spoold::server
