// The founding algorithm (isolation.md): who goes into which transaction on which connection, and who is to blame when a
// connection drops. Pure: batches, what sessions observed and times go in; the next plan and outcomes come out.
// One Planner per lane (one next hop). The lane in server/delivery owns sockets, claims and the store; it asks here.
//
// Guarantees: invariants I1-I4 of isolation.md. Every recipient added is either in hand, or has got exactly one Outcome by
// take_outcomes(), or was withdrawn. A recipient is in at most one transaction at a time.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/delivery/outcome.hpp"
#include "protocol/time.hpp"

namespace spoold::delivery {

using MessageId = std::uint64_t;
using ConnectionId = std::uint64_t;

/// Settings and learned facts of the host.
struct Limits {
  std::uint32_t recipients_per_transaction = 100;
  bool lmtp = false;                 // replies after the dot are per recipient
  bool configured_next_hop = true;   // connection-level pipelining from the first transaction
  std::vector<Duration> retry;       // schedule, the last repeats
  Duration lifetime{};
  std::vector<Duration> isolation_waits;
  std::uint32_t isolation_budget = 3;
  Duration isolation_window{};
};

/// What the store remembers of an address at this host (isolation.md 3.5).
struct Suspicion {
  std::uint32_t strikes = 0;
  bool parked = false;
  TimePoint first{}, last_drop{}, next{};
  std::uint32_t last_position = 0;
  Stage stage = Stage::none;
  std::string how;
  std::uint64_t commits_between = 0;
};

struct Candidate {
  std::uint32_t number = 0;
  std::string address;
  std::uint32_t attempts = 0;
  TimePoint arrived{};                  // lifetime counts from here
  bool isolate = false;                 // an operator's wish: alone and last
  std::optional<Suspicion> suspicion;   // from the store
};

/// Claimed recipients of one message for this lane. Several batches of one message may be in hand at once.
struct Batch {
  MessageId message = 0;
  bool one_each = false;  // VERP or personalised: one recipient a transaction
  std::vector<Candidate> recipients;
};

/// One MAIL..dot for one connection.
struct Transaction {
  MessageId message = 0;
  std::vector<std::uint32_t> recipients;  // in the order of their RCPTs
  std::uint32_t window = 32;              // RCPTs in flight; 1: lock-step
  bool overlap = false;                   // MAIL may follow the previous transaction's dot in one write
  bool quit_after = false;                // the last transaction of this connection
};

struct Next {
  enum class Do { transaction, wait, quit } what = Do::wait;
  Transaction transaction;
  TimePoint until{};  // wait: at the latest; report() and add() may wake it earlier
};

/// What a session saw of one transaction. Empty optionals: no reply was read.
struct Observation {
  MessageId message = 0;
  std::vector<std::uint32_t> recipients;            // as in the Transaction
  std::uint32_t rcpts_sent = 0;                     // how many RCPTs were written
  std::vector<std::uint32_t> skipped;               // withdrawn before their RCPT was written
  std::optional<smtp::Reply> mail, data;
  std::vector<std::optional<smtp::Reply>> rcpt;     // by position
  bool mail_sent = false, data_sent = false, content_sent = false, dot_sent = false;
  std::vector<std::optional<smtp::Reply>> dot;      // one; LMTP: one for each accepted recipient, in order
};

/// How a connection ended without our QUIT.
struct Drop {
  enum class How { closed, reset, timeout, reply_421, garbage } how = How::closed;
  Stage oldest = Stage::none;  // the oldest command without a reply; none: nothing was unanswered
  smtp::Reply reply;           // the 421, or the last words heard
  std::string text;            // "connection closed while waiting for the reply to RCPT TO"
};

struct SuspectChange {
  std::string address;
  std::optional<Suspicion> now;  // empty: forgotten
};

enum class Withdrawal : std::uint8_t { idle, withdrawn, committed };

struct Health {
  std::string state;       // "up", "waiting", "half-open"
  TimePoint until{};       // waiting: when the next connection may be opened
  std::string last_error;
  std::uint32_t drops = 0, unproductive = 0, parked = 0, learned_rcpts = 0, learned_rejects = 0, learned_messages = 0;
};

class Planner {
 public:
  explicit Planner(Limits limits, std::uint64_t seed);  // seed: jitter
  ~Planner();
  Planner(Planner&&) noexcept;
  Planner& operator=(Planner&&) noexcept;

  void add(Batch batch, TimePoint now);

  /// May a further connection be opened now? (host clock, half-open, isolation waits, something ready to send)
  std::uint32_t connections_wanted(std::uint32_t open, TimePoint now) const;
  /// When connections_wanted or next() may change by the clock alone; TimePoint::max(): never.
  TimePoint wake_at() const;

  ConnectionId connected(std::string remote, TimePoint now);            // EHLO was answered 2xx
  void connect_failed(Stage stage, const LastReply& why, TimePoint now);  // before that: a host fault

  Next next(ConnectionId, TimePoint now);
  /// Called just before each RCPT (or group of them) is written; false: skip this one.
  bool sending(ConnectionId, MessageId, std::uint32_t number);
  /// A whole transaction was answered (or given up in order: MAIL refused, all RCPTs refused ...).
  void report(ConnectionId, const Observation&, TimePoint now);
  /// The connection is gone; `open`: the transactions begun and not yet reported, oldest first.
  void dropped(ConnectionId, const Drop&, const std::vector<Observation>& open, TimePoint now);
  void closed(ConnectionId, TimePoint now);  // after our QUIT

  std::vector<std::pair<MessageId, Outcome>> take_outcomes();
  std::vector<SuspectChange> take_suspects();
  std::vector<MessageId> take_held();  // messages whose content seems to kill connections (section 3, in doubt)

  Withdrawal withdraw(MessageId, std::uint32_t number);
  void retry_now(MessageId, TimePoint now);  // an operator's wish; also clears the host clock
  Health health(TimePoint now) const;
  std::size_t in_hand() const;  // recipients added and without an outcome

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spoold::delivery
