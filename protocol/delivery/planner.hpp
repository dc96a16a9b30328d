// The founding algorithm (isolation.md beside this file): who goes into which transaction on which
// connection, and who is to blame when a connection drops. Pure: batches, what sessions observed and times go
// in; the next plan and outcomes come out. One Planner per lane (one next hop). The lane in server/delivery
// owns sockets, claims and the store; it asks here.
//
// Guarantees: invariants I1-I4 of isolation.md. Every recipient added is either in hand, or has got exactly
// one Outcome by take_outcomes(), or was withdrawn. A recipient is in at most one transaction at a time.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/delivery/memory.hpp"
#include "protocol/delivery/outcome.hpp"
#include "protocol/delivery/suspicion.hpp"
#include "protocol/smtp/reply_class.hpp"
#include "protocol/smtp/transaction_plan.hpp"
#include "protocol/time.hpp"

namespace spoold::delivery {

class SharedGroup;  // group.hpp

using smtp::Drop, smtp::MessageId, smtp::Observation;
using Transaction = smtp::TransactionPlan;
using ConnectionId = std::uint64_t;

/// Settings and learned facts of the host.
struct Limits {
  std::uint32_t recipients_per_transaction = 100;
  bool lmtp = false;                // replies after the dot are per recipient
  bool configured_next_hop = true;  // connection-level pipelining from the first transaction
  std::vector<Duration> retry;      // schedule, the last repeats
  Duration lifetime{};
  std::vector<Duration> isolation_waits;
  std::uint32_t isolation_budget = 3;
  Duration isolation_window{};
  std::uint64_t rate = 0;  // transactions in `rate_per`; 0: as many as go
  Duration rate_per = std::chrono::seconds(1);
  std::uint32_t messages = 0;  // of a connection, until a limit is learned; 0: any number
  std::shared_ptr<const smtp::ReplyTable>
      replies;  // what refusals ask for; null: nothing but their codes say
};

/// What the peer asked for in this connection's EHLO (RFC 9422); 0: nothing.
struct PeerLimits {
  std::uint32_t recipients = 0, domains = 0;  // of a transaction: RCPTMAX, RCPTDOMAINMAX
};

struct Candidate {
  std::uint32_t number = 0;
  std::string address;
  std::uint32_t attempts = 0;
  TimePoint arrived{};                 // lifetime counts from here
  bool isolate = false;                // an operator's wish: alone and last
  bool possible_duplicate = false;     // was in doubt before: its content waits for the reply to RCPT
  std::optional<Suspicion> suspicion;  // from the store
};

/// Claimed recipients of one message for this lane. Several batches of one message may be in hand at once.
struct Batch {
  MessageId message = 0;
  bool one_each = false;  // VERP or personalised: one recipient a transaction
  std::vector<Candidate> recipients;
};

struct Next {
  enum class Do { transaction, wait, quit } what = Do::wait;
  Transaction transaction;
  TimePoint until{};  // wait: at the latest; report() and add() may wake it earlier
};

struct SuspectChange {
  std::string address;
  std::optional<Suspicion> now;  // empty: forgotten
};

/// A copy whose end was sent and never answered: the peer may have it, or may get it yet.
struct InDoubt {
  MessageId message = 0;
  std::uint32_t number = 0;
  bool operator==(const InDoubt&) const = default;
};

/// The lane is held because a reply is about us (action `ours`): an operator must act.
struct HeldLane {
  std::string rule;
  LastReply last;
  TimePoint until{};  // when it tries again
};

enum class Withdrawal : std::uint8_t { idle, withdrawn, committed };

struct Health {
  std::string state;  // "up", "waiting", "half-open", "slow"
  TimePoint until{};  // waiting: when the next connection may be opened
  std::string last_error;
  std::uint32_t drops = 0, unproductive = 0, parked = 0, learned_rcpts = 0, learned_rejects = 0,
                learned_messages = 0;
};

class Planner {
 public:
  explicit Planner(Limits limits, std::uint64_t seed, const HostMemory& = {},
                   TimePoint now = {});  // seed: jitter
  ~Planner();
  Planner(Planner&&) noexcept;
  Planner& operator=(Planner&&) noexcept;

  /// Takes recipients in hand, each again only after its outcome was taken (server/delivery/claims.hpp). The same
  /// message may come in many batches. Suspicion older than 30 days is ignored.
  void add(Batch batch, TimePoint now);

  /// False while the host's clock waits: claim nothing, what was in hand has come back as `released`. True
  /// all the same while that failed attempt was the last one for somebody: what is claimed then expires too,
  /// or comes back.
  bool receptive(TimePoint now) const;
  /// How many further connections to open now; `open` counts those open and those being opened.
  /// (host clock, half-open, slow start, isolation waits, what is ready to send)
  std::uint32_t connections_wanted(std::uint32_t open, TimePoint now) const;
  /// When receptive(), connections_wanted(), next() or take_outcomes() may change by the clock alone: call
  /// tick() and ask them again. TimePoint::max(): never.
  TimePoint wake_at() const;
  void tick(TimePoint now);

  /// EHLO was answered 2xx; `tls`: of LastReply.
  ConnectionId connected(std::string remote, TimePoint now, PeerLimits = {}, std::string tls = {});
  void connect_failed(Stage stage, const LastReply& why, TimePoint now);  // before that: a host fault

  /// There is no such host, and will not be: everybody in hand who is not in a transaction has failed.
  void unreachable_for_good(const LastReply& why, TimePoint now);
  /// Each of its hosts greeted with 521, `why` being the last of them: it takes no mail (RFC 7504 4). The
  /// same as unreachable_for_good(), unless a connection is open; a failed connection then.
  void no_host_takes_mail(const LastReply& why, TimePoint now);

  /// The next thing for this connection. May be asked while transactions are open (to overlap), answers
  /// `wait` when there must not be another one. After `wait` ask again after a report() of this connection,
  /// at `until`, or when add() or the end of another connection may have brought work. `quit`: QUIT, then
  /// closed().
  Next next(ConnectionId, TimePoint now);
  /// Called just before each RCPT (or group of them) is written; false: skip this one. After true it is
  /// `committed`.
  bool sending(ConnectionId, MessageId, std::uint32_t number, TimePoint now);
  /// A whole transaction was answered (or given up in order: MAIL refused, all RCPTs refused, rejects_allowed
  /// used up ...). Recipients without an answer go back to the hand, uncharged.
  void report(ConnectionId, const Observation&, TimePoint now);
  /// The connection is gone; `open`: the transactions begun and not yet reported, oldest first, with every
  /// reply that could still be read (I1). Transactions handed out and not listed were not begun.
  void dropped(ConnectionId, const Drop&, const std::vector<Observation>& open, TimePoint now);
  void closed(ConnectionId,
              TimePoint now);  // after QUIT, or when the lane closes an idle one; nothing may be open on it

  /// What became of recipients since the last call; each leaves the hand with it.
  std::vector<std::pair<MessageId, Outcome>> take_outcomes();
  /// To be written in the same commit as the outcomes taken with it, even when there are none (I3).
  std::vector<SuspectChange> take_suspects();
  /// Who may have got a copy without a reply, since the last call: to be named in the log and marked as
  /// possible duplicates. To be taken right after dropped(): some of them are still in hand and are sent
  /// again at once.
  std::vector<InDoubt> take_in_doubt();
  /// Messages whose content seems to kill connections (section 3, in doubt): their recipients here become
  /// held.
  std::vector<MessageId> take_held();
  /// Alarms since the last call.
  std::vector<HeldLane> take_alarms();

  /// idle: not in hand. withdrawn: was in hand, is no longer, its RCPT is not on the wire and will not be.
  Withdrawal withdraw(MessageId, std::uint32_t number);
  /// An operator's wish: clears the host's clock and the waits of this message's suspects.
  void retry_now(MessageId, TimePoint now);
  void clear_clock();  // the operator's too

  /// What this lane shares with others; null: nothing. From here on the planner tells it what it meets, and
  /// keeps to its rate and its budget.
  void join(std::shared_ptr<SharedGroup>);
  /// The group waits after a fault that another lane met: so does this one, uncharged, without a try.
  void told(const HostFault&, TimePoint now);
  void freed();  // that is over: ask again
  /// The peer refused a command behind content, or left there: no overlapping for a day.
  void overlap_refused(TimePoint now);
  void reconfigure(Limits);

  /// What the next Planner for this host should begin with.
  HostMemory memory() const;
  /// Nothing is in hand, connected or to be taken, and no trouble is so recent that what led to it may still
  /// have to be told apart: a Planner made later from memory() is as good as this one.
  bool forgettable(TimePoint now) const;
  /// Nobody in hand is isolated, suspect or in doubt.
  bool untroubled() const;
  /// Nothing is in hand: gives back the memory that was used for it.
  void shrink();
  Health health(TimePoint now) const;
  std::size_t in_hand()
      const;  // recipients added, without an outcome taken or waiting to be taken, not withdrawn

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spoold::delivery
