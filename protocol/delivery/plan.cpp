// What a connection does next (isolation.md section 3): vouched first, untainted work in fair turns, dropped
// batches in lock-step by one connection at a time, suspects last and alone.
#include <algorithm>
#include <utility>

#include "protocol/delivery/planner_state.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::delivery {
namespace {
constexpr Duration idle_for = std::chrono::seconds(3);
constexpr Duration idle_for_suspects = std::chrono::seconds(10);
// A suspect that came back when it was due goes first on a new connection, or between two transactions of one
// that has delivered, when it has waited so long for a connection with nothing else to do.
constexpr Duration overdue = std::chrono::minutes(10), overdue_between = std::chrono::minutes(1);

// Counts domains as recipients are taken in order: a domain that comes again later counts again.
class Domains {
 public:
  explicit Domains(std::uint32_t most) : left_(most) {}  // 0: any number
  bool admit(const Recipient& r) {
    if (left_ == 0 && last_.empty()) return true;  // no limit
    const std::string_view domain = domain_of(r.address);
    if (domain == last_) return true;
    if (left_ == 0) return false;
    --left_;
    last_ = domain;
    return true;
  }

 private:
  std::uint32_t left_;
  std::string_view last_;
};
}  // namespace

bool Planner::State::must_quit(const Connection& c, TimePoint now) const {
  if (c.quit) return true;
  if (c.errors >= learned.rejects()) return true;
  const std::uint32_t messages = learned.messages(now);
  if (messages > 0 && c.committed + c.flights.size() >= messages) return true;
  if (const Duration age = learned.age(now); age > Duration{} && now - c.opened >= age * 3 / 4) return true;
  const std::uint32_t rcpts = learned.rcpts_of_connection(now);
  return rcpts > 0 && c.rcpts >= rcpts;
}

bool Planner::State::trusted(const Connection& c, TimePoint now) const {
  return isolating != c.id && host.overlap(now) && (limits.configured_next_hop || c.committed >= 2);
}

bool Planner::State::may_overlap(const Connection& c, TimePoint now) const {
  if (c.flights.empty()) return true;
  if (c.flights.front().kind != Flight::Kind::plain || c.flights.back().kind != Flight::Kind::plain ||
      !trusted(c, now))
    return false;
  // On a busy connection nobody goes alone unless the pipe is let run empty for it.
  if (isolating == 0 && c.committed > 0 && !c.isolated_last &&
      (hand.anything_to_isolate(now) || offers_overdue(c, now)))
    return false;
  // Its share of what there is: the last transactions of a message do not queue up behind one connection.
  const std::size_t share = (hand.ready_transactions(now) + in_flight()) / connections.size() + 1;
  std::size_t deepest = std::min<std::size_t>(host.depth(now), std::max<std::size_t>(share, 2));
  // Each refusal uses up the peer's patience, those on their way too: a peer that hangs up on a full pipe
  // takes its last replies along, and everything in the pipe is in doubt.
  // A dead recipient costs two errors: his RCPT, and the DATA or BDAT behind it.
  if (c.errors > 0)
    deepest = std::min<std::size_t>(deepest, std::max(1u, (learned.rejects() - c.errors) / 2));
  if (const std::uint32_t rcpts = learned.rcpts_of_connection(now)) {
    std::size_t on_the_way = 0;
    for (const Flight& f : c.flights) on_the_way += f.recipients.size();
    if (c.rcpts + on_the_way >= rcpts) return false;
  }
  return c.flights.size() < deepest;
}

bool Planner::State::may_offer(TimePoint now) const {
  if (isolating != 0 || (offered.empty() && parked.empty())) return false;
  const Recipient& r = offered.empty() ? *parked.first : *offered.first;
  return r.doubt->no_wait || now >= reoffer_at(now);
}

bool Planner::State::offers_overdue(const Connection& c, TimePoint now) const {
  if (offered.empty() || !offered.first->doubt->due) return false;
  const Duration waited = now - offered.first->doubt->since;
  const bool its_turn = c.transactions == 0
                            ? waited >= overdue
                            : c.committed > 0 && !c.isolated_last && waited >= overdue_between;
  return its_turn && may_offer(now);
}

std::uint32_t Planner::State::most_recipients(const Connection& c, TimePoint now) const {
  std::uint32_t most = limits.recipients_per_transaction;
  if (const std::uint32_t r = learned.rcpts(now)) most = std::min(most, r);
  if (const std::uint32_t r = learned.rcpts_of_connection(now)) {
    std::uint32_t used = c.rcpts;
    for (const Flight& f : c.flights) used += static_cast<std::uint32_t>(f.recipients.size());
    most = std::min(most, r > used ? r - used : 1);
  }
  if (c.limits.recipients > 0) most = std::min(most, c.limits.recipients);
  return std::max(1u, most);
}

bool Planner::State::divert(Recipient& r, TimePoint now) {
  if (known.empty() || r.doubt) return false;
  const auto k = known.find(r.address);
  if (k == known.end()) return false;
  r.doubt = std::make_unique<Doubt>();
  r.doubt->suspicion = k->second;
  r.doubt->recorded = true;
  r.doubt->since = now;
  offered.push_back(r);
  return true;
}

bool Planner::State::take_turn(Connection& c, Flight& flight, TimePoint now) {
  const bool overlapped = !c.flights.empty();
  while (Work* work = hand.next_turn(now)) {
    flight.work = work;
    const bool vouched = !work->vouched.empty() && !overlapped;
    Line& line = vouched || work->ready.empty() ? work->vouched : work->ready;
    flight.kind = &line == &work->vouched ? Flight::Kind::vouched : Flight::Kind::plain;
    std::uint32_t most = work->one_each ? 1 : most_recipients(c, now);
    if (flight.kind == Flight::Kind::vouched && work->vouched_limit > 0)
      most = std::min(most, work->vouched_limit);
    if (work->paused) {
      if (overlapped) return false;
      flight.kind = Flight::Kind::probe;
      most = 1;
    }
    Domains domains(c.limits.domains);
    while (!line.empty() && flight.recipients.size() < most && domains.admit(*line.first)) {
      Recipient& r = line.pop_front();
      if (!divert(r, now)) flight.recipients.push_back(&r);
    }
    if (flight.recipients.empty()) {  // all of them became suspects
      hand.touch(*work);
      continue;
    }
    if (work->paused) work->probing = true;
    flight.window = host.window(now);
    return true;
  }
  return false;
}

bool Planner::State::take_isolation(Connection& c, Flight& flight, TimePoint now) {
  // An ambiguous one goes behind something committed, or first when there is nothing to commit.
  const bool may_be_ambiguous = c.committed > 0 || (hand.ready_transactions(now) == 0 && all_stuck(now));
  Work* work = hand.next_isolation(may_be_ambiguous, now);
  if (!work) return false;
  flight.work = work;
  flight.window = 1;
  if (!work->unsent.empty()) {
    flight.kind = Flight::Kind::chunk;
    const std::uint32_t most = std::min(work->chunk, most_recipients(c, now));
    Domains domains(c.limits.domains);
    while (!work->unsent.empty() && flight.recipients.size() < most && domains.admit(*work->unsent.first))
      flight.recipients.push_back(&work->unsent.pop_front());
  } else {
    flight.kind = Flight::Kind::ambiguous;
    flight.recipients.push_back(&work->ambiguous.pop_front());
  }
  isolating = c.id;
  return true;
}

bool Planner::State::take_suspect(Flight& flight) {
  Recipient& r = offered.empty() ? parked.pop_front() : offered.pop_front();
  flight.kind = Flight::Kind::suspect;
  flight.work = r.work;
  flight.window = 1;
  flight.recipients.push_back(&r);
  return true;
}

bool Planner::State::take_again(Flight& flight) {
  Recipient& r = ask_again.pop_front();
  flight.kind = Flight::Kind::again;
  flight.work = r.work;
  flight.window = 1;
  flight.recipients.push_back(&r);
  return true;
}

Transaction Planner::State::begin(Connection& c, Flight flight, TimePoint now) {
  Transaction t;
  t.message = flight.work->id;
  t.window = flight.window;
  t.overlap = flight.overlap = !c.flights.empty();
  // I3: who was in doubt is not sent again before RCPT is answered.
  const bool doubted = flight.recipients.size() == 1 && flight.recipients.front()->possible_duplicate;
  t.chunked = flight.kind == Flight::Kind::plain && trusted(c, now) && !doubted;
  t.rejects_allowed = learned.rejects() > c.errors ? learned.rejects() - c.errors : 1;
  if (c.errors > 0) t.window = std::min(t.window, t.rejects_allowed);  // all of them may be refused
  t.recipients.reserve(flight.recipients.size());
  for (Recipient* r : flight.recipients) {
    r->sent = false;
    t.recipients.push_back(r->number);
  }
  ++flight.work->slots;  // the flight keeps its work alive
  flight.begun = flight.moved = now;
  ++c.transactions;
  if (flight.kind == Flight::Kind::suspect) isolating = c.id;
  const bool alone = flight.kind == Flight::Kind::suspect || flight.kind == Flight::Kind::ambiguous ||
                     flight.kind == Flight::Kind::again;
  c.isolated_last = flight.kind == Flight::Kind::chunk || alone;
  // Alone, or in one write with a MAIL that was too slow before, a recipient has all the time of the
  // protocol; not while others wait for the reply to it.
  if (!alone && hand.size() > 1 && (t.window == 1 || !sender_in_trouble(t.message)))
    t.patience = flight.patience = host.patience();
  Work& work = *flight.work;
  c.flights.push_back(std::move(flight));
  ++flying;
  if (const std::uint32_t most = learned.messages(now); most > 0 && c.committed + c.flights.size() >= most)
    t.quit_after = c.quit = true;
  hand.touch(work);
  return t;
}

Next Planner::State::next(ConnectionId id, TimePoint now) {
  Next next;
  next.until = TimePoint::max();
  Connection* c = find(id);
  if (!c || (c->flights.empty() && must_quit(*c, now)) || (c->flights.empty() && host.waiting(now))) {
    if (c) {
      if (c->errors >= learned.rejects() && !c->quit) learned.rejects_used_up(now);
      c->quit = true;
    }
    next.what = Next::Do::quit;
    return next;
  }
  if (must_quit(*c, now) || !may_overlap(*c, now)) return next;

  Flight flight;
  if (!spare_vectors.empty()) {
    flight.recipients = std::move(spare_vectors.back());
    spare_vectors.pop_back();
  }
  const bool in_rate = take_rate(now);
  const bool may_isolate = in_rate && c->flights.empty() && isolating == 0;
  const bool waits_long = may_isolate && offers_overdue(*c, now);
  const bool clean = in_rate && c->flights.empty() && c->errors == 0;
  const bool found = (clean && !ask_again.empty() && take_again(flight)) ||
                     (waits_long && take_suspect(flight)) ||
                     (may_isolate && !c->isolated_last && c->committed > 0 && hand.anything_to_isolate(now) &&
                      take_isolation(*c, flight, now)) ||
                     (in_rate && take_turn(*c, flight, now)) ||
                     (may_isolate && hand.anything_to_isolate(now) && take_isolation(*c, flight, now)) ||
                     (may_isolate && may_offer(now) && take_suspect(flight));
  if (found) {
    next.what = Next::Do::transaction;
    next.transaction = begin(*c, std::move(flight), now);
    return next;
  }
  spare_vectors.push_back(std::move(flight.recipients));
  if (in_rate) give_rate();
  if (!in_rate && hand.size() > 0 && rate_at(now) <= c->idle_since + idle_for_suspects) {
    next.until = rate_at(now);
    return next;
  }
  if (!c->flights.empty()) return next;

  TimePoint until = c->idle_since + idle_for;
  if ((!offered.empty() || !parked.empty()) && isolating == 0) {
    const TimePoint offer = reoffer_at(now);
    if (offer <= c->idle_since + idle_for_suspects) until = std::max(until, offer);
  }
  if (hand.anything_paused() && hand.next_probe() <= c->idle_since + idle_for_suspects)
    until = std::max(until, hand.next_probe());
  if (now >= until || (in_rate && !ask_again.empty())) {  // they wait for a connection without refusals
    c->quit = true;
    next.what = Next::Do::quit;
  } else {
    next.until = until;
  }
  return next;
}

}  // namespace spoold::delivery
