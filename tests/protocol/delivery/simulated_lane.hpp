// The lane and the store around a Planner, simulated on a virtual clock: connections that cost round trips, a
// client that pipelines as the real dialog does, recipients that come back when they are due. Checks the
// planner's contract as it goes.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "simulated_host.hpp"

namespace spoold::delivery::sim {

inline constexpr TimePoint start{std::chrono::hours(24 * 365 * 50)};

inline Limits usual_limits() {
  Limits l;
  l.retry = {std::chrono::minutes(5), std::chrono::minutes(15), std::chrono::minutes(30),
             std::chrono::hours(1)};
  l.lifetime = std::chrono::hours(24 * 5);
  l.isolation_waits = {std::chrono::seconds(5), std::chrono::seconds(30), std::chrono::minutes(2)};
  l.isolation_budget = 3;
  l.isolation_window = std::chrono::minutes(10);
  return l;
}

/// What the store knows of one recipient.
struct Stored {
  MessageId message = 0;
  std::uint32_t number = 0;
  std::string address;
  bool one_each = false, in_hand = false, final = false;
  std::uint32_t attempts = 0, outcomes = 0, delivered = 0, deferred = 0, charged = 0, named = 0;
  TimePoint due{}, finished{}, arrived{};
  Verdict verdict = Verdict::released;
  LastReply last;
};

class Lane {
 public:
  Lane(Limits limits, Faults faults_of_host, std::uint64_t seed, std::uint32_t connections_at_most)
      : planner(limits, seed),
        faults(std::move(faults_of_host)),
        at_most_(connections_at_most),
        lmtp_(limits.lmtp) {}

  void post(MessageId message, const std::vector<std::string>& addresses, bool one_each) {
    for (std::uint32_t i = 0; i < addresses.size(); ++i) {
      Stored s;
      s.message = message;
      s.number = i;
      s.address = addresses[i];
      s.one_each = one_each;
      s.due = s.arrived = now;
      store.emplace(std::pair{message, i}, s);
    }
    due_.emplace(now, message);
  }

  /// Runs until everything is final, or until `end` passes.
  void run(TimePoint end) {
    turn();
    while (!events_.empty() || next_time() < TimePoint::max()) {
      const TimePoint at = next_time();
      if (at > end || at == TimePoint::max()) {
        now = std::max(now, end);
        break;
      }
      if (++steps > 5'000'000) throw std::logic_error("the lane turns without end");
      if (at == now && ++same_ > 100'000) throw std::logic_error("the clock stands still");
      if (at > now) same_ = 0;
      now = std::max(now, at);
      while (!events_.empty() && events_.top().at <= now) {
        auto what = events_.top().what;
        events_.pop();
        what();
      }
      turn();
      if (all_final()) break;
    }
  }

  bool all_final() const {
    return open_ == 0 && std::ranges::all_of(store, [](const auto& s) { return s.second.final; });
  }

  Planner planner;
  Faults faults;
  TimePoint now = start;
  Duration round_trip = std::chrono::milliseconds(10), patience = std::chrono::minutes(5);
  std::map<std::pair<MessageId, std::uint32_t>, Stored> store;
  std::map<std::string, Suspicion> suspicions;
  std::set<std::string> ever_suspected;
  std::map<std::pair<MessageId, std::string>, int> accepted;  // by the host
  std::vector<ConnectionLog> logs;                            // of connections that ended
  std::vector<MessageId> held;
  std::uint32_t connects = 0, drops = 0, most_open = 0;
  std::size_t deepest = 0;  // transactions in flight on one connection
  std::uint64_t steps = 0;

 private:
  struct Open {
    Observation seen;
    Transaction plan;
    std::size_t next_rcpt = 0;
    std::uint32_t rejects = 0, accepted = 0;
  };
  struct Session {
    ConnectionId id = 0;
    std::unique_ptr<SimulatedConnection> remote;
    std::vector<Open> open;
    std::size_t begun = 0;  // transactions so far, names them
    bool busy = false;
    TimePoint ask_again = TimePoint::max();
  };
  struct Event {
    TimePoint at;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const Event& o) const { return at != o.at ? at > o.at : order > o.order; }
  };

  void later(Duration d, std::function<void()> what) { events_.push({now + d, ++order_, std::move(what)}); }

  TimePoint next_time() const {
    TimePoint at = events_.empty() ? TimePoint::max() : events_.top().at;
    at = std::min(at, planner.wake_at());
    for (const auto& [id, s] : sessions_)
      if (!s.busy) at = std::min(at, s.ask_again);
    if (!due_.empty() && planner.receptive(now)) at = std::min(at, std::max(now, due_.begin()->first));
    return at;
  }

  void turn() {
    planner.tick(now);
    settle();
    claim();
    for (bool again = true; again;) {
      again = false;
      for (auto& [id, s] : sessions_) {
        if (s.busy || s.id == 0) continue;
        if (ask(s)) {
          again = true;
          break;  // the map may have changed
        }
      }
    }
    settle();
    const auto wanted = planner.connections_wanted(open_, now);
    for (std::uint32_t i = 0; i < wanted && open_ < at_most_; ++i) connect();
  }

  void claim() {
    while (!due_.empty() && due_.begin()->first <= now && planner.receptive(now)) {
      const MessageId message = due_.begin()->second;
      due_.erase(due_.begin());
      std::map<bool, Batch> batches;
      for (auto it = store.lower_bound({message, 0}); it != store.end() && it->first.first == message; ++it) {
        Stored& s = it->second;
        if (s.final || s.in_hand || s.due > now) continue;
        Candidate c;
        c.number = s.number;
        c.address = s.address;
        c.attempts = s.attempts;
        c.arrived = s.arrived;
        c.possible_duplicate = s.named > 0;
        if (const auto k = suspicions.find(s.address); k != suspicions.end()) c.suspicion = k->second;
        s.in_hand = true;
        Batch& b = batches[s.one_each];
        b.message = message;
        b.one_each = s.one_each;
        b.recipients.push_back(std::move(c));
      }
      for (auto& [each, b] : batches) planner.add(std::move(b), now);
    }
  }

  void settle() {
    for (SuspectChange& change : planner.take_suspects()) {
      if (change.now)
        suspicions[change.address] = *change.now, ever_suspected.insert(change.address);
      else
        suspicions.erase(change.address);
    }
    for (const InDoubt& d : planner.take_in_doubt()) {
      ++store.at({d.message, d.number}).named;
    }
    for (MessageId m : planner.take_held()) held.push_back(m);
    for (auto& [message, o] : planner.take_outcomes()) {
      Stored& s = store.at({message, o.number});
      if (!s.in_hand) throw std::logic_error("an outcome for a recipient that was not in hand");
      s.in_hand = false;
      ++s.outcomes;
      s.verdict = o.verdict;
      if (o.verdict != Verdict::released) s.last = o.last;
      if (o.charged) ++s.attempts, ++s.charged;
      switch (o.verdict) {
        case Verdict::delivered:
          ++s.delivered;
          s.final = true;
          s.finished = now;
          break;
        case Verdict::failed:
        case Verdict::expired:
          s.final = true;
          s.finished = now;
          break;
        case Verdict::deferred:
          ++s.deferred;
          [[fallthrough]];
        case Verdict::released:
          s.due = std::max(o.next_attempt, now + Duration(1));
          due_.emplace(s.due, message);
          break;
      }
    }
  }

  void connect() {
    ++open_;
    ++connects;
    most_open = std::max(most_open, open_);
    later(round_trip * 2, [this] {
      if (faults.down) {
        --open_;
        LastReply why;
        why.reply.text = "connection refused";
        why.at = now;
        why.stage = Stage::connect;
        planner.connect_failed(Stage::connect, why, now);
        return;
      }
      const ConnectionId id = planner.connected("mx.example.net[192.0.2.1]:25", now);
      Session& s = sessions_[id];
      s.id = id;
      s.remote = std::make_unique<SimulatedConnection>(faults, accepted, now);
    });
  }

  void finish(Session& s, bool dropped) {
    if (dropped) ++drops;
    logs.push_back(s.remote->log);
    --open_;
    sessions_.erase(s.id);
  }

  /// Asks the planner what an idle session does; true: something changed.
  bool ask(Session& s) {
    Next n = planner.next(s.id, now);
    if (n.what != Next::Do::transaction && s.remote->closing()) {
      planner.dropped(s.id, {Drop::How::closed}, {}, now);
      finish(s, true);
      return true;
    }
    if (n.what == Next::Do::wait) {
      s.ask_again = n.until;
      return false;
    }
    if (n.what == Next::Do::quit) {
      planner.closed(s.id, now);
      finish(s, false);
      return true;
    }
    s.open.push_back(begin(std::move(n.transaction)));
    go_on(s);
    return true;
  }

  Open begin(Transaction t) {
    Open o;
    o.seen.message = t.message;
    o.seen.recipients = t.recipients;
    o.seen.rcpt.resize(t.recipients.size());
    o.plan = std::move(t);
    return o;
  }

  void add_rcpts(Session& s, std::size_t at, std::vector<Command>& group) {
    Open& o = s.open[at];
    std::size_t window = faults.pipelining ? o.plan.window : 1;
    if (o.rejects > 0 && o.rejects < o.plan.rejects_allowed)
      window = std::min<std::size_t>(window, o.plan.rejects_allowed - o.rejects);
    for (std::size_t n = 0;
         n < window && o.next_rcpt < o.plan.recipients.size() && o.rejects < o.plan.rejects_allowed; ++n) {
      const std::uint32_t number = o.plan.recipients[o.next_rcpt];
      if (planner.sending(s.id, o.plan.message, number, now)) {
        group.push_back({Command::What::rcpt, o.plan.message, store.at({o.plan.message, number}).address, at,
                         o.next_rcpt});
      } else {  // handed over to another connection
        o.seen.skipped.push_back(number);
        --n;
      }
      o.seen.rcpts_sent = static_cast<std::uint32_t>(++o.next_rcpt);
    }
    if (faults.pipelining && o.plan.window > 1 && o.next_rcpt == o.plan.recipients.size()) {
      group.push_back({Command::What::data, o.plan.message, {}, at, 0});
      o.seen.data_sent = true;
    }
  }

  bool chunked(const Open& o) const {
    return faults.chunking && faults.pipelining && !lmtp_ && o.plan.chunked &&
           o.plan.recipients.size() == 1 && o.plan.window > 1;
  }

  /// Whole transactions, as many as the planner gives, in one group.
  void start_chunked(Session& s, std::vector<Command>& group) {
    for (std::size_t at = 0; at < s.open.size(); ++at) {
      Open& o = s.open[at];
      if (!chunked(o)) return start_transaction(s, at, group);
      group.push_back({Command::What::mail, o.plan.message, {}, at, 0});
      for (std::size_t i = 0; i < o.plan.recipients.size(); ++i) {
        const std::uint32_t number = o.plan.recipients[i];
        if (!planner.sending(s.id, o.plan.message, number, now)) throw std::logic_error("nobody withdrew it");
        group.push_back(
            {Command::What::rcpt, o.plan.message, store.at({o.plan.message, number}).address, at, i});
      }
      o.next_rcpt = o.plan.recipients.size();
      o.seen.rcpts_sent = static_cast<std::uint32_t>(o.next_rcpt);
      group.push_back({Command::What::bdat, o.plan.message, {}, at, 0});
      o.seen.mail_sent = o.seen.content_sent = o.seen.dot_sent = o.seen.chunked = true;
      deepest = std::max(deepest, s.open.size());
      Next n = planner.next(s.id, now);
      if (n.what != Next::Do::transaction) return;
      if (!n.transaction.overlap) throw std::logic_error("a transaction while one is open must overlap");
      s.open.push_back(begin(std::move(n.transaction)));
    }
  }

  /// The connection ended in the middle of a group: the end of it was not written.
  void forget_unwritten(Session& s, const std::vector<Command>& group, std::size_t ended_at) {
    const std::size_t behind = group.size() - ended_at - 1;
    for (std::size_t i = group.size() - std::min(behind, faults.unwritten); i < group.size(); ++i) {
      Observation& seen = s.open[group[i].transaction].seen;
      switch (group[i].what) {
        case Command::What::mail:
          seen.mail_sent = false;
          break;
        case Command::What::rcpt:
          seen.rcpts_sent = std::min(seen.rcpts_sent, static_cast<std::uint32_t>(group[i].position));
          break;
        case Command::What::data:
          seen.data_sent = false;
          break;
        case Command::What::bdat:
        case Command::What::dot:
          seen.dot_sent = false;
          break;
      }
    }
  }

  void start_transaction(Session& s, std::size_t at, std::vector<Command>& group) {
    Open& o = s.open[at];
    group.push_back({Command::What::mail, o.plan.message, {}, at, 0});
    o.seen.mail_sent = true;
    if (faults.pipelining && o.plan.window > 1) add_rcpts(s, at, group);
  }

  /// As the dialog does: the planner's patience only where nothing is written that may be delivered afterwards.
  Duration patience_at(const Session& s, const Command& oldest) const {
    const Duration asked = s.open[oldest.transaction].plan.patience;
    const bool written =
        std::ranges::any_of(s.open, [](const Open& o) { return o.seen.dot_sent && o.seen.dot.empty(); });
    const bool with_rcpts =
        oldest.what == Command::What::rcpt || (oldest.what == Command::What::mail && faults.pipelining &&
                                               s.open[oldest.transaction].plan.window > 1);
    return with_rcpts && asked > Duration{} && !written ? std::min(patience, asked) : patience;
  }

  /// Writes the next group of commands, or reports the oldest transaction when it is answered.
  void go_on(Session& s) {
    std::vector<Command> group;
    while (!s.open.empty() && group.empty()) {
      Open& o = s.open.front();
      const bool mail_refused = o.seen.mail && !o.seen.mail->completed();
      const bool rcpts_done = o.next_rcpt == o.plan.recipients.size() || o.rejects >= o.plan.rejects_allowed;
      const bool data_refused = o.seen.data && !o.seen.data->positive();
      if (!o.seen.mail_sent) {
        start_chunked(s, group);
      } else if (!mail_refused && !rcpts_done) {
        add_rcpts(s, 0, group);
      } else if (mail_refused || data_refused || (rcpts_done && o.accepted == 0) || !o.seen.dot.empty()) {
        const Observation seen = std::move(o.seen);
        s.open.erase(s.open.begin());
        planner.report(s.id, seen, now);
      } else if (!o.seen.data_sent) {
        group.push_back({Command::What::data, o.plan.message, {}, 0, 0});
        o.seen.data_sent = true;
      } else {
        group.push_back({Command::What::dot, o.plan.message, {}, 0, 0});
        o.seen.content_sent = o.seen.dot_sent = true;
        if (o.rejects >= o.plan.rejects_allowed) continue;
        Next n = planner.next(s.id, now);
        if (n.what == Next::Do::transaction) {
          if (!n.transaction.overlap) throw std::logic_error("a transaction while one is open must overlap");
          if (std::uint32_t& allowed = n.transaction.rejects_allowed; o.rejects > 0) {
            allowed = allowed > o.rejects ? allowed - o.rejects : 1;
            n.transaction.window = std::min(n.transaction.window, allowed);
          }
          s.open.push_back(begin(std::move(n.transaction)));
          if (faults.pipelining) start_transaction(s, 1, group);
        }
      }
    }
    s.busy = !group.empty();
    if (!s.busy) return;
    later(round_trip, [this, id = s.id, group] { answered(id, group); });
  }

  void answered(ConnectionId id, const std::vector<Command>& group) {
    Session& s = sessions_.at(id);
    SimulatedConnection::Answer a = s.remote->handle(group, now);
    if (a.late == Duration{}) return take(id, group, a);
    if (a.late < patience_at(s, group[a.slow_at]))
      return later(a.late, [this, id, group, a] { take(id, group, a); });
    for (std::size_t i = a.slow_at; i < group.size(); ++i) a.replies[i].reset();
    a.ended = true;
    a.how = Drop::How::timeout;
    take(id, group, a);
  }

  void take(ConnectionId id, const std::vector<Command>& group, SimulatedConnection::Answer a) {
    Session& s = sessions_.at(id);
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (!a.replies[i]) continue;
      Open& o = s.open[group[i].transaction];
      switch (group[i].what) {
        case Command::What::mail:
          o.seen.mail = a.replies[i];
          break;
        case Command::What::rcpt:
          o.seen.rcpt[group[i].position] = a.replies[i];
          a.replies[i]->completed() ? ++o.accepted : ++o.rejects;
          break;
        case Command::What::data:
          o.seen.data = a.replies[i];
          break;
        case Command::What::bdat:
          o.seen.dot = {a.replies[i]};
          break;
        case Command::What::dot:
          if (lmtp_)
            o.seen.dot = a.dots[i];
          else
            o.seen.dot = {a.replies[i]};
          break;
      }
    }
    if (!a.ended) {
      go_on(s);
      return;
    }
    std::size_t ended_at = group.size() - 1;
    while (ended_at > 0 && !a.replies[ended_at - 1]) --ended_at;
    if (faults.chunking) forget_unwritten(s, group, ended_at);
    const auto lost = [this, id, a] {
      Session& gone = sessions_.at(id);
      Drop drop;
      drop.how = a.how;
      drop.reply = a.last;
      std::vector<Observation> open;
      for (Open& o : gone.open)
        if (o.seen.mail_sent) open.push_back(std::move(o.seen));
      planner.dropped(id, drop, open, now);
      finish(gone, true);
    };
    if (a.how == Drop::How::timeout)
      later(patience_at(s, group[ended_at]), lost);
    else
      lost();
  }

  std::uint32_t at_most_, open_ = 0;
  bool lmtp_;
  std::map<ConnectionId, Session> sessions_;
  std::priority_queue<Event> events_;
  std::multimap<TimePoint, MessageId> due_;
  std::uint64_t order_ = 0, same_ = 0;
};

inline std::vector<std::string> addresses(std::size_t n) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < n; ++i) all.push_back("r" + std::to_string(i) + "@example.net");
  return all;
}

/// r0@example.net ... of one message, as a lane gives them to its planner.
inline Batch numbered(MessageId message, std::uint32_t n, bool one_each) {
  Batch batch;
  batch.message = message;
  batch.one_each = one_each;
  const auto all = addresses(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    Candidate& c = batch.recipients.emplace_back();
    c.number = i;
    c.address = all[i];
    c.arrived = start;
  }
  return batch;
}

/// What is seen of a transaction whose RCPTs are written and not answered.
inline Observation up_to_rcpt(const Transaction& t) {
  Observation seen;
  seen.message = t.message;
  seen.recipients = t.recipients;
  seen.rcpts_sent = static_cast<std::uint32_t>(t.recipients.size());
  seen.mail_sent = true;
  seen.mail = smtp::Reply{250, {}, "ok"};
  return seen;
}

inline Observation all_accepted(const Transaction& t) {
  Observation seen = up_to_rcpt(t);
  seen.rcpt.assign(t.recipients.size(), seen.mail);
  seen.data_sent = seen.content_sent = seen.dot_sent = true;
  seen.data = smtp::Reply{354, {}, "go on"};
  seen.dot = {seen.mail};
  return seen;
}

}  // namespace spoold::delivery::sim
