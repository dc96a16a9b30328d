// One next hop: what is due for it, what is in hand, and its connections. Claims from the store, asks the
// Planner (protocol/delivery) who goes where, gives transactions to its sessions, settles what became of the
// recipients.
//
// Everything happens on one network thread, in turn(): whatever may have changed something asks for a turn,
// and many asks make one. Store callbacks come from the writer thread and are posted here. A lane with a dead
// next hop waits for its own clock and costs the others nothing. Guarantees: bounded memory
// (Claiming::target()); while the store cannot commit no transaction is started, and outcomes are kept and
// settled first when it can again; after stop() every claim is settled before the callback; an exception loses
// no claim, no outcome and no connection (lane_guard.cpp).
//
// The lane carries facts between objects that each know one thing: claiming (when and how much is claimed),
// claims (what is in hand), outbox (what is on its way to the store), place (connections shared with other
// lanes), way (where connections go), session (one connection). Its own rooms: lane.cpp (turns, the calls of
// sessions and operators), lane_claims.cpp (from due to in hand), lane_settle.cpp (from outcome to the store),
// lane_life.cpp (connections, rest, what an operator sees), lane_forms.cpp (copies of their own), lane_guard.cpp.
#pragma once
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "protocol/delivery/planner.hpp"
#include "server/admin/lanes.hpp"
#include "server/delivery/alarm.hpp"
#include "server/delivery/claiming.hpp"
#include "server/delivery/claims.hpp"
#include "server/delivery/outbox.hpp"
#include "server/delivery/pause.hpp"
#include "server/delivery/place.hpp"
#include "server/delivery/session.hpp"
#include "server/delivery/seven_bit.hpp"
#include "server/delivery/signing.hpp"
#include "server/delivery/way.hpp"
#include "server/stats.hpp"
#include "store/store.hpp"

namespace spoold::server {

/// What all lanes have in common.
struct DeliveryContext {
  store::Store& store;
  Stats& stats;
  list::Hmac hmac;
  std::function<void(const std::string& route)> wake;  // any thread
  Resolver& resolver;
  Connections connections;             // of all lanes
  std::atomic<std::uint32_t> turn{0};  // of source addresses
  Groups groups;
  Signing signing;
  SevenBit seven_bit;
  std::atomic<bool> lifetimes{true};  // false: none ends, the clock is doubted (protocol/clock_watch.hpp)
};

/// What the lanes of one thread have in common.
struct LaneThread {
  asio::io_context& io;
  std::shared_ptr<const conf::Settings> settings;  // of new lanes
  WireCache wires;
  std::shared_ptr<TlsClient> tls;
};

class Lane : public OutboundSession::Owner {
 public:
  /// Who keeps it. All calls come from turn().
  class Keeper : public Place::Line {
   public:
    struct Rest {
      TimePoint due{};   // nothing of its route is due before; max: nothing at all
      TimePoint host{};  // until then its host's clock waits
      bool forgettable = false;
      std::string group{};  // whose turn or clock it waits for
    };
    /// Nothing is in hand, on the wire or to be written, and nothing is to be done now: it may be destroyed
    /// when its turn is over.
    virtual void idle(Lane&, const Rest&) = 0;
  };

  Lane(DeliveryContext& context, LaneThread& thread, Keeper& keeper, std::string route, std::uint64_t seed);
  ~Lane() override;

  // All on the lane's thread.
  void wake();  // something may be due
  void withdraw(store::Id message, std::vector<std::uint32_t> numbers,
                std::function<void(std::vector<delivery::Withdrawal>)> done);
  void give_back(store::Id message, const std::vector<std::uint32_t>& numbers);
  void retry_now(store::Id message);
  void granted();                      // a connection was taken for it
  void called();                       // its group may have a connection for it
  void clear_clock(TimePoint wished);  // its host's, by an operator's wish
  void poke();                         // idle connections look whether they should end
  DestinationState state() const;
  /// No new transactions; when the open ones are done and all is settled: `stopped`, once.
  void stop(std::function<void()> stopped);
  void abort();  // the grace is over: connections are cut, what was answered is settled

  const std::string& route() const { return route_; }

  // OutboundSession::Owner
  void connected(OutboundSession&) override;
  void failed(OutboundSession&, const LastReply& why) override;
  std::optional<smtp::ClientDialog::Mail> next(OutboundSession&) override;
  bool sending(OutboundSession&, delivery::MessageId, std::uint32_t number) override;
  OutboundSession::Content content(OutboundSession&, delivery::MessageId, bool chunk,
                                   const std::shared_ptr<const Copy>& copy) override;
  void heard(OutboundSession&, delivery::Observation) override;
  void gone(OutboundSession&, bool in_order, const delivery::Drop&,
            std::vector<delivery::Observation> open) override;
  void fault(OutboundSession&, const std::string& why) override;
  void threw(OutboundSession&, std::exception_ptr why) override;

 private:
  struct Withdraw {
    store::Id message;
    std::vector<std::uint32_t> numbers;
    std::function<void(std::vector<delivery::Withdrawal>)> done;
  };
  using Clock = std::chrono::steady_clock;

  TimePoint now() const { return context_.store.now(); }
  void soon();  // ask for a turn
  void turn();
  void set_alarm();
  bool may_begin() const { return !stopping_ && !trouble_; }
  delivery::Planner make_planner(const delivery::HostMemory& memory);
  void way_changed();
  smtp::ClientDialog::Mail mail_of(OutboundSession& session, delivery::Transaction plan);
  std::optional<smtp::ClientDialog::Mail> plan(OutboundSession& session);
  bool protected_by(OutboundSession& session, smtp::ClientDialog::Mail& mail);
  void feed_idle();
  void answer_withdrawals();
  void release_all();
  void release(store::Id message, std::uint32_t number, TimePoint next);

  // lane_guard.cpp
  /// All work that the loop gives a lane passes here.
  template <class Work>
  void guarded(Work work) {
    try {
      work();
    } catch (...) {
      rescue(std::current_exception());
    }
  }
  void rescue(const std::exception_ptr& why);
  void pause(const std::string& why);

  // lane_claims.cpp
  Claiming::Load load() const;
  void claim_more();
  void claimed(store::Result<std::vector<store::Claim>> result, std::uint32_t asked);
  void take_claims();
  void take_claim(store::Claim& claim);

  // lane_settle.cpp
  void collect();
  void settle();
  void settled(std::size_t i, store::Result<store::Settled> result);
  void name_in_doubt(const OutboundSession& session);

  // lane_life.cpp
  bool way_is_known(TimePoint at);
  void open_connections();
  void forget(OutboundSession& session);
  std::uint32_t connection_limit() const;
  bool may_claim();
  bool gives_way(OutboundSession& session, bool idle);
  void return_grant();
  void release_in_line();
  bool waits_for_group() const { return sessions_.empty() && now() < place_.group_until(); }
  bool at_rest() const;

  // lane_forms.cpp
  std::shared_ptr<const Copy> copy_for(Claims::Held& held, const store::Recipient& recipient);
  OutboundSession::Unready formed(OutboundSession& session, smtp::ClientDialog::Mail mail);
  std::optional<smtp::ClientDialog::Mail> take_ready(OutboundSession& session);
  void give_back(OutboundSession& session, delivery::Transaction unbegun);
  void give_back_unready(OutboundSession& session);

  DeliveryContext& context_;
  LaneThread& thread_;
  Keeper& keeper_;
  const std::string route_;
  const std::shared_ptr<const conf::Settings> settings_;
  Way way_;
  Outbox outbox_;
  std::minstd_rand random_;  // the order of equal hosts
  delivery::Planner planner_;
  Claiming claiming_;
  Claims claims_;
  Place place_;
  Pause pause_;
  std::vector<std::shared_ptr<OutboundSession>> sessions_;  // connecting and open
  std::vector<Withdraw> withdrawals_;

  Alarm alarm_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool turn_asked_ = false;
  bool poke_ = false;        // idle sessions ask for work in this turn
  bool lifetimes_ = true;    // as in the context
  bool trouble_ = false;     // the store cannot commit: no transaction is started
  bool look_again_ = false;  // a connection is wanted, but DNS is asked
  bool stopping_ = false;
  std::function<void()> stopped_;
};

}  // namespace spoold::server
