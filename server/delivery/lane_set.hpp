// The lanes of one network thread. A lane is made when something of its route is due and a connection is free for
// it; it is destroyed when nothing is in hand, connected or due. A route without a lane is asleep (two times are
// kept of it) or in line for a connection. So memory holds at most as many busy lanes as there are connections,
// however many routes have mail. All but tell_due() is called on the thread of `io`.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "server/admin/lanes.hpp"
#include "server/delivery/lane.hpp"

namespace spoold::server {

class LaneSet : public Lane::Keeper {
 public:
  LaneSet(DeliveryContext& context, asio::io_context& io, std::shared_ptr<const conf::Settings> settings,
          std::size_t wire_budget);

  /// Before anything is due.
  void use(std::shared_ptr<const TlsContext> context) { thread_.tls->use(std::move(context)); }

  /// From now on. `settings` (absent: as they were): lanes end their open transactions, settle, and are made anew. What
  /// waits on a route that the settings do not give any more gets new routes. `context` (absent: as it was): new
  /// connections use it.
  void renew(std::shared_ptr<const conf::Settings> settings, std::shared_ptr<const TlsContext> context);

  /// Something of this route may be due now.
  void due(const std::string& route);
  /// The same, from any thread. Several calls before due() runs make one due(); no call is made where a sleeping
  /// route's clock waits anyway.
  void tell_due(const std::string& route);
  /// Something of this route is due at that time.
  void due_at(const std::string& route, TimePoint at);
  /// `routes`: of the message's recipients.
  void retry_now(store::Id message, const std::set<std::string>& routes);
  /// An operator asked for an attempt at `wished`: waits of the host that began before it end.
  void wake_host(const std::string& route, TimePoint wished);
  /// Its group may have a connection for this route.
  void called(const std::string& route);
  /// Lanes wait for a connection: idle ones should end.
  void crowded();
  void stop(Duration grace, std::function<void()> one_stopped, const std::function<void(std::size_t)>& owed);
  void abort();
  void each(const std::function<void(Lane&)>& act);
  std::size_t size() const { return lanes_.size(); }
  /// Lanes, routes asleep and routes in line.
  std::vector<DestinationState> states() const;

  asio::io_context& io() { return thread_.io; }

  // Lane::Keeper
  void idle(Lane& lane, const Rest& rest) override;
  bool in_line(const std::string& route) const override { return in_line_.contains(route); }
  void stand_in_line(const std::string& route) override;

 private:
  /// Why a clock that the store remembers is not waited for.
  struct Woken {
    TimePoint wished{};   // an operator's wish
    bool called = false;  // its group no longer waits
    void tell(Lane&) const;
  };
  struct Asleep {
    TimePoint at{};      // max: nothing is due
    TimePoint host{};    // until then its clock waits
    bool asked = false;  // something became due before `host`
    Woken woken{};
    TimePoint alarm{};    // its place in alarms_
    std::string group{};  // for people
  };
  void make(const std::string& route, Woken woken);
  void retire(const std::string& route, const Lane* lane);
  void granted(const std::string& route);
  void join_line(const std::string& route);
  void sleep(const std::string& route, Asleep how);
  std::optional<Asleep> take_asleep(const std::string& route);
  void set_timer();
  TimePoint now() const { return context_.store.now(); }

  DeliveryContext& context_;
  LaneThread thread_;
  asio::steady_timer timer_, grace_;
  TimePoint timer_at_ = TimePoint::max();
  std::unordered_map<std::string, std::shared_ptr<Lane>> lanes_;
  std::unordered_map<std::string, Asleep> asleep_;
  std::set<std::pair<TimePoint, std::string>> alarms_;  // of those asleep
  std::unordered_map<std::string, Woken> in_line_;      // by route; with a lane or without
  std::size_t gone_ = 0;                                // lanes destroyed since memory was last given back
  bool stopping_ = false;
  std::mutex telling_;
  std::vector<std::string> to_look_at_;
  std::unordered_set<std::string> told_;  // these, and routes asleep that are looked at when their clock ends
};

}  // namespace spoold::server
