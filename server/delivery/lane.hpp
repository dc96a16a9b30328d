// One next hop: what is due for it, what is in hand, and its connections. Claims from the store, asks the
// Planner (protocol/delivery) who goes where, gives transactions to its sessions, settles what became of the
// recipients.
//
// Everything happens on one network thread, in turn(): whatever may have changed something asks for a turn,
// and many asks make one. Store callbacks come from the writer thread and are posted here. A lane with a dead
// next hop waits for its own clock and costs the others nothing. Guarantees: bounded memory (hand_target());
// while the store cannot commit no transaction is started, and what was heard is kept and settled first when
// it can again; after stop() every claim is settled before the callback; an exception loses no claim, no
// outcome and no connection (lane_guard.cpp). See also: hand.hpp, session.hpp, lane_claims.cpp (from due to in
// hand), lane_life.cpp (when it comes, waits and goes), lane_settle.cpp (outcomes on their way to the store).
#pragma once
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/delivery/planner.hpp"
#include "server/admin/lanes.hpp"
#include "server/delivery/connections.hpp"
#include "server/delivery/groups.hpp"
#include "server/delivery/hand.hpp"
#include "server/delivery/session.hpp"
#include "server/delivery/seven_bit.hpp"
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
  SevenBit seven_bit;
};

class Lane : public OutboundSession::Owner {
 public:
  /// Who keeps it. Both calls come from turn().
  class Keeper {
   public:
    struct Rest {
      TimePoint due{};   // nothing of its route is due before; max: nothing at all
      TimePoint host{};  // until then its host's clock waits
      bool forgettable = false;
      std::string group{};  // whose turn or clock it waits for
    };
    virtual ~Keeper() = default;
    /// Nothing is in hand, on the wire or to be written, and nothing is to be done now: it may be destroyed
    /// when its turn is over.
    virtual void idle(Lane&, const Rest&) = 0;
    /// It needs a first connection: granted() when one was taken for it.
    virtual void stand_in_line(Lane&) = 0;
  };

  Lane(DeliveryContext& context, asio::io_context& io, WireCache& wires, std::shared_ptr<TlsClient> tls,
       Keeper& keeper, std::shared_ptr<const conf::Settings> settings, std::string route, std::uint64_t seed);
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
  void poke();                         // idle connections look whether they should go
  DestinationState state() const;
  /// No new transactions; when the open ones are done and all is settled: `stopped`, once.
  void stop(std::function<void()> stopped);
  void abort();  // the grace is over: connections are cut, what was heard is settled

  const std::string& route() const { return route_; }

  // OutboundSession::Owner
  void connected(OutboundSession&) override;
  void failed(OutboundSession&, const LastReply& why) override;
  std::optional<smtp::ClientDialog::Mail> next(OutboundSession&) override;
  bool sending(OutboundSession&, delivery::MessageId, std::uint32_t number) override;
  OutboundSession::Content content(OutboundSession&, delivery::MessageId, bool chunk) override;
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
  using Clock = Watchdog::Clock;

  TimePoint now() const { return context_.store.now(); }
  void soon();  // ask for a turn
  void turn();
  void set_timer();
  std::uint32_t connection_limit() const;
  bool may_begin() const { return !stopping_ && !trouble_; }
  delivery::Planner make_planner(const delivery::HostMemory& memory);

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
  void rescue(std::exception_ptr why);
  void pause(const std::string& why);

  // lane_claims.cpp
  std::size_t hand_target() const;
  void claim_more();
  void claimed(store::Result<std::vector<store::Claim>> result, std::uint32_t asked);
  void take_claims();
  void learn_messages();
  void take_claim(store::Claim& claim);
  std::string sender_of(Hand::Held& held, const store::Recipient& recipient);

  // lane_life.cpp
  bool may_claim();
  bool gives_way(OutboundSession& session, bool idle);
  void return_grant();
  std::unique_ptr<Seat> take_seat(TimePoint at);
  bool waits_for_group() const { return sessions_.empty() && now() < group_until_; }
  void release_in_line();
  void take_memory();
  bool at_rest() const;

  // lane_seven_bit.cpp
  static bool needs_conversion(const OutboundSession& session, const store::Message& message);
  void begin_conversion(OutboundSession& session, const store::Message& message,
                        smtp::ClientDialog::Mail mail);
  std::optional<smtp::ClientDialog::Mail> take_converted(OutboundSession& session);
  void give_back_unready(OutboundSession& session);

  void open_connections();
  bool way_is_known(TimePoint at);  // lane_way.cpp
  void way_changed();
  OutboundSession::Security security(const conf::Destination* own) const;  // lane_tls.cpp
  std::shared_ptr<const smtp::Credentials> credentials() const;
  void feed_idle();
  void forget(OutboundSession& session);
  void answer_withdrawals();
  void release_all();
  void release(store::Id message, std::uint32_t number, TimePoint next);

  // lane_settle.cpp
  void collect();
  void note(const store::Message& message, const store::Recipient& recipient, const Outcome& outcome);
  void take_suspects();
  void settle();
  void send_settlements();
  void settled(std::size_t i, store::Result<store::Settled> result);

  // lane_reports.cpp
  void request_reports(OutboundSession& session, Hand::Held& held, smtp::ClientDialog::Mail& mail);
  void note_untold(store::Settlement& settlement);

  // lane_log.cpp
  void log_outcome(const store::Message& message, const store::Recipient& recipient,
                   const Outcome& outcome) const;
  void log_plain_text(const OutboundSession& session) const;
  void log_suspect(const delivery::SuspectChange& change) const;
  void name_in_doubt(const OutboundSession& session);

  DeliveryContext& context_;
  asio::io_context& io_;
  WireCache& wires_;
  const std::shared_ptr<TlsClient> tls_;
  const std::string route_;
  const std::shared_ptr<const conf::Settings> settings_;
  Way way_;
  std::shared_ptr<LockedGroup> group_;
  TimePoint group_until_{};  // it is not asked for a connection before
  bool gave_way_ = false;    // to another lane of the group
  TimePoint wished_{};       // an operator's wish: its clock is not waited for
  delivery::Planner planner_;
  std::minstd_rand random_;  // the order of equal hosts
  Hand hand_;
  std::unordered_map<std::string, store::Suspect> suspects_;  // by address key: this lane's rows of the store

  std::vector<std::shared_ptr<OutboundSession>> sessions_;  // connecting and open
  asio::steady_timer timer_;
  Clock::time_point timer_at_ = Clock::time_point::max();
  bool turn_asked_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  bool claiming_ = false, poke_ = false, stopping_ = false;
  bool trouble_ = false;          // the store cannot commit: no transaction is started
  bool settle_failed_ = false;    // until a group of settlements is committed again
  bool look_again_ = false;       // a connection is wanted, but DNS is asked
  bool granted_ = false;          // a connection was taken and is not yet used
  bool in_line_ = false;          // waits for a first connection: there are max_connections in all
  bool memory_stale_ = false;     // what the planner remembers of the host may have changed
  Clock::time_point probe_at_{};  // in trouble without anything to settle: a claim tries whether it is over
  TimePoint next_due_{};          // nothing of this route is due before; max: nothing at all
  bool mostly_single_ = false;    // the last claims were of one recipient a transaction
  std::vector<Withdraw> withdrawals_;

  // Claims that the store has made and that are not yet in hand: their messages are still to be read.
  std::vector<store::Claim> coming_;
  std::uint32_t asked_ = 0;  // recipients, of this claim
  bool claim_read_ = false;  // the store has answered the claim; claiming_ holds till it is in hand
  TimePoint read_at_{};      // the store had no slot for the read: not before
  std::set<store::Id> held_meanwhile_;  // messages that the planner held while claims are coming

  TimePoint connect_at_{};  // after a fault of ours: no connection is opened before
  Duration pause_{};        // how long the last one was
  std::string pause_why_;   // and what was logged of it
  Clock::time_point pause_logged_{};

  std::vector<store::Suspect> suspects_now_;
  std::vector<std::string> forgotten_now_;
  std::vector<store::Settlement> settling_;  // sent to the store, kept until it answers
  std::size_t answers_owed_ = 0;             // of those sent
  TimePoint settle_at_{};                    // after a failure: not before

  std::uint64_t closed_ = 0, closed_before_ = 0;  // outcomes, for the rate
  Clock::time_point rate_at_{};
  double rate_ = 0;               // outcomes a second
  delivery::HostMemory written_;  // what the store has
  std::optional<delivery::HostMemory> memory_now_;
  Keeper& keeper_;
  std::function<void()> stopped_;
};

}  // namespace spoold::server
