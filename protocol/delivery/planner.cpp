#include "protocol/delivery/planner.hpp"

#include <algorithm>
#include <utility>

#include "protocol/delivery/planner_state.hpp"

namespace spoold::delivery {
namespace {
constexpr Duration remembered = std::chrono::hours(24 * 30);
constexpr Duration stuck_after =
    std::chrono::seconds(5);  // a busy connection this long does not count as one
constexpr Duration evidence_lasts =
    std::chrono::hours(6);  // longer than a suspect waits: two drops must meet in one memory
}  // namespace

Planner::State::State(Limits l, std::uint64_t seed)
    : limits(std::move(l)),
      jitter(seed),
      hand(std::max(1u, limits.recipients_per_transaction)),
      host(limits, jitter),
      rate(limits.rate, limits.rate_per) {
  limits.recipients_per_transaction = std::max(1u, limits.recipients_per_transaction);
}

Connection* Planner::State::find(ConnectionId id) {
  for (auto& c : connections)
    if (c->id == id) return c.get();
  return nullptr;
}

void Planner::State::remove(ConnectionId id) {
  std::erase_if(connections, [&](const auto& c) { return c->id == id; });
  if (isolating == id) isolating = 0;
}

void Planner::State::add(Batch batch, TimePoint now) {
  if (batch.recipients.empty()) return;
  Work& work = hand.work(batch.message, batch.one_each);
  const auto accept = [&](Candidate& candidate) {
    const bool isolate = candidate.isolate;
    std::optional<Suspicion> suspicion = std::move(candidate.suspicion);
    if (const auto k = known.find(candidate.address); !known.empty() && k != known.end())
      suspicion = k->second;
    if (suspicion && suspicion->last_drop + remembered < now) suspicion.reset();
    Recipient& r = hand.create(work, std::move(candidate));
    if (!asked_once.empty() && asked_once.contains({work.id, r.number}) && !isolate && !suspicion) {
      ask_again.push_back(r);
      return;
    }
    if (!isolate && !suspicion) {
      const bool careful = !lock_step.empty() && lock_step.erase({work.id, r.number}) > 0;
      r.dropped = careful;
      (!careful ? work.ready : work.one_each ? work.ambiguous : work.unsent).push_back(r);
      return;
    }

    r.doubt = std::make_unique<Doubt>();
    r.doubt->due = true;
    r.doubt->since = now;
    if (suspicion) {
      r.doubt->recorded = true;
      r.doubt->suspicion = std::move(*suspicion);
      known[r.address] = r.doubt->suspicion;
    } else {
      r.doubt->no_wait = true;
    }
    offered.push_back(r);
  };
  // Addresses with a bad history last (section 4): their rejects use up the connection's budget.
  bool some_tried = false;
  for (Candidate& candidate : batch.recipients) {
    if (candidate.attempts > 0 && !batch.one_each)
      some_tried = true;
    else
      accept(candidate);
  }
  if (some_tried)
    for (Candidate& candidate : batch.recipients)
      if (candidate.attempts > 0) accept(candidate);
  hand.touch(work);
  // Its content may kill connections: one recipient probes first.
  if (const auto n = notes.find(batch.message); n != notes.end() && n->second.in_doubt > 0)
    hand.pause(work, now);
  if (last_fault && host.waiting(now)) share_the_fault();
}

std::uint32_t Planner::State::connections_wanted(std::uint32_t open, TimePoint now) const {
  if (host.waiting(now) || rate_at(now) > now) return 0;
  if (open > 0 && now < host.more_from()) return 0;  // the last further connection was refused
  std::uint32_t idle = 0, stuck = 0;
  for (const auto& c : connections) {
    if (c->flights.empty() && !c->quit)
      ++idle;
    else if (c->quit || this->stuck(*c, now))
      ++stuck;
  }
  const std::uint32_t opening =
      open > connections.size() ? open - static_cast<std::uint32_t>(connections.size()) : 0;
  idle += opening;
  std::uint32_t work = hand.ready_transactions(now);
  // One connection isolates, and any that is open and not stuck will do it in its turn.
  if (work == 0 && hand.anything_to_isolate(now) && isolating == 0 && open <= stuck) work = 1;
  if (work == 0 && open == 0 && !offered.empty() && may_offer(now)) work = 1;
  if (work == 0 && open <= stuck && !ask_again.empty()) work = 1;
  if (work <= idle) return 0;
  const std::uint32_t allowed = host.allowed() + (host.half_open() ? 0 : stuck);
  return allowed > open ? std::min(allowed - open, work - idle) : 0;
}

TimePoint Planner::State::reoffer_at(TimePoint now) const {
  const TimePoint own = host.reoffer_at(now);
  return group ? std::max(own, group->with([now](const Group& g) { return g.offer_at(now); })) : own;
}

TimePoint Planner::State::rate_at(TimePoint now) const {
  const TimePoint own = rate.at(now);
  return paced ? std::max(own, group->with([now](const Group& g) { return g.turn_at(now); })) : own;
}

bool Planner::State::take_rate(TimePoint now) {
  if (!rate.ready(now) || (paced && !group->with([now](Group& g) { return g.take_turn(now); }))) return false;
  return rate.take(now);
}

void Planner::State::give_rate() {
  rate.give_back();
  if (paced) group->with([](Group& g) { g.give_turn(); });
}

TimePoint Planner::State::wake_at() const {
  TimePoint at = TimePoint::max();
  // What was due at the last tick has been seen then; only later moments can change anything.
  const auto earlier = [&](TimePoint t) {
    if (t > ticked) at = std::min(at, t);
  };
  earlier(host.until());
  earlier(host.more_from());
  for (const auto& c : connections)
    if (!c->flights.empty()) earlier(c->flights.front().moved + stuck_after);
  earlier(hand.next_probe());
  if (hand.size() > 0) earlier(rate_at(ticked));
  if (!offered.empty() || !parked.empty()) {
    const Line& line = offered.empty() ? parked : offered;
    earlier(reoffer_at(line.first->doubt->since));
    for (const Line* l : {&offered, &parked})
      if (!l->empty()) earlier(l->first->doubt->since + patience_with(*l->first));
  }
  return at;
}

// Whatever lies ahead is as far away as it was; else wake_at() would name a time of the old clock, or none.
void Planner::State::seen(TimePoint now) {
  if (now >= ticked) return;
  const Duration by = ticked - now;
  ticked = now;
  host.set_back(by);
  for (auto& c : connections) {
    c->opened -= by;
    c->idle_since -= by;
    for (Flight& f : c->flights) {
      f.begun -= by;
      f.moved -= by;
    }
  }
  for (Line* line : {&offered, &parked})
    for (Recipient* r = line->first; r; r = r->next) r->doubt->since -= by;
}

void Planner::State::tick(TimePoint now) {
  ticked = now;
  hand_over(now);
  settle_suspects(now);
}

bool Planner::State::stuck(const Connection& c, TimePoint now) const {
  return !c.flights.empty() && now - c.flights.front().moved >= stuck_after;
}

bool Planner::State::all_stuck(TimePoint now) const {
  return std::ranges::all_of(connections,
                             [&](const auto& c) { return c->flights.empty() || stuck(*c, now); });
}

// A silent recipient holds only those whose RCPT is already on its connection: the rest of its batch, and the
// turn to isolate, are another connection's. The first recipient stays, by it the flight is known.
void Planner::State::hand_over(TimePoint now) {
  for (auto& c : connections) {
    if (!stuck(*c, now)) continue;
    if (isolating == c->id) isolating = 0;
    for (Flight& f : c->flights) {
      const std::size_t kept = std::max<std::size_t>(f.cursor, 1);
      if (f.recipients.size() <= kept) continue;
      for (std::size_t i = kept; i < f.recipients.size(); ++i) {
        Recipient& r = *f.recipients[i];
        if (r.withdrawn)
          hand.forget(r);
        else
          (f.kind == Flight::Kind::vouched ? f.work->vouched : f.work->unsent).push_back(r);
      }
      f.recipients.resize(kept);
      hand.touch(*f.work, f.kind == Flight::Kind::vouched);
    }
  }
}

Withdrawal Planner::State::withdraw(MessageId message, std::uint32_t number) {
  for (auto& c : connections) {
    for (Flight& f : c->flights) {
      if (f.work->id != message) continue;
      for (Recipient* r : f.recipients) {
        if (r->number != number || r->withdrawn) continue;
        if (r->sent) return Withdrawal::committed;
        hand.withdraw_in_flight(*r);
        return Withdrawal::withdrawn;
      }
    }
  }
  Work* work = hand.find(message);
  if (!work) return Withdrawal::idle;
  const auto forget = [&](Recipient& r) {
    ++work->slots;  // keeps it alive for touch()
    hand.forget(r);
    --work->slots;
    hand.touch(*work);
    return Withdrawal::withdrawn;
  };
  for (auto& c : connections)
    if (c->parting && c->parting->number == number && c->parting->work == work)
      return forget(*std::exchange(c->parting, nullptr));
  for (Line* line :
       {&work->ready, &work->vouched, &work->unsent, &work->ambiguous, &offered, &parked, &ask_again})
    for (Recipient* r = line->first; r; r = r->next)
      if (r->number == number && r->work == work) return forget(*r);
  return Withdrawal::idle;
}

void Planner::State::retry_now(MessageId message, TimePoint now) {
  host.clear();
  expiring = false;
  Work* work = hand.find(message);
  if (!work) return;
  for (Line* line : {&offered, &parked}) {
    for (Recipient* r = line->first; r;) {
      Recipient* following = r->next;
      if (r->work == work) {
        r->doubt->due = r->doubt->no_wait = true;
        r->doubt->since = now;
        line->remove(*r);
        offered.push_front(*r);
      }
      r = following;
    }
  }
  if (work->paused) hand.pause(*work, now);
}

Planner::Planner(Limits limits, std::uint64_t seed, const HostMemory& memory, TimePoint now)
    : state_(std::make_unique<State>(std::move(limits), seed)) {
  HostMemory recent = memory;
  forget_old(recent, now);
  // Written while the clock was wrong: no host waits longer than its longest step.
  Duration longest = std::chrono::hours(1);
  for (const Duration wait : state_->limits.retry) longest = std::max(longest, wait);
  recent.until = std::min(recent.until, now + longest + longest / 5);
  state_->host.restore(recent, now);
  state_->learned.restore(recent);
}
Planner::~Planner() = default;
Planner::Planner(Planner&&) noexcept = default;
Planner& Planner::operator=(Planner&&) noexcept = default;

void Planner::add(Batch batch, TimePoint now) {
  state_->seen(now);
  state_->add(std::move(batch), now);
}
bool Planner::receptive(TimePoint now) const {
  return !state_->host.waiting(now) || state_->expiring;
}
std::uint32_t Planner::connections_wanted(std::uint32_t open, TimePoint now) const {
  return state_->connections_wanted(open, now);
}
TimePoint Planner::wake_at() const {
  return state_->wake_at();
}
void Planner::tick(TimePoint now) {
  state_->seen(now);
  state_->tick(now);
}

ConnectionId Planner::connected(std::string remote, TimePoint now, PeerLimits offered, std::string tls) {
  state_->seen(now);
  state_->last_fault.reset();
  state_->expiring = false;
  auto c = std::make_unique<Connection>(state_->group);
  c->id = ++state_->last_connection;
  c->remote = std::move(remote);
  c->tls = std::move(tls);
  c->opened = c->idle_since = now;
  c->limits = offered;
  c->jitter = state_->jitter.factor();
  state_->connections.push_back(std::move(c));
  return state_->last_connection;
}

void Planner::connect_failed(Stage stage, const LastReply& why, TimePoint now) {
  state_->seen(now);
  state_->connect_failed(stage, why, now);
}

void Planner::unreachable_for_good(const LastReply& why, TimePoint now) {
  state_->unreachable_for_good(why, now);
}

void Planner::no_host_takes_mail(const LastReply& why, TimePoint now) {
  state_->seen(now);
  state_->no_host_takes_mail(why, now);
}

Next Planner::next(ConnectionId id, TimePoint now) {
  state_->seen(now);
  return state_->next(id, now);
}

bool Planner::sending(ConnectionId id, MessageId message, std::uint32_t number, TimePoint now) {
  Connection* c = state_->find(id);
  if (!c) return false;
  // The one being written is the youngest, or close to it.
  for (auto flight = c->flights.rbegin(); flight != c->flights.rend(); ++flight) {
    Flight& f = *flight;
    if (f.work->id != message) continue;
    std::size_t at = f.cursor;
    if (at >= f.recipients.size() || f.recipients[at]->number != number) {
      const auto found = std::ranges::find(f.recipients, number, &Recipient::number);
      if (found == f.recipients.end()) continue;
      at = static_cast<std::size_t>(found - f.recipients.begin());
    }
    f.cursor = at + 1;
    f.moved = now;
    Recipient& r = *f.recipients[at];
    if (r.withdrawn) return false;
    r.sent = true;
    return true;
  }
  return false;
}

void Planner::report(ConnectionId id, const Observation& seen, TimePoint now) {
  state_->seen(now);
  if (Connection* c = state_->find(id)) state_->report(*c, seen, now);
}
void Planner::dropped(ConnectionId id, const Drop& drop, const std::vector<Observation>& open,
                      TimePoint now) {
  state_->seen(now);
  state_->dropped(id, drop, open, now);
}

void Planner::closed(ConnectionId id, TimePoint now) {
  if (Connection* c = state_->find(id)) {
    state_->settle_parting(*c, false, now);
    while (!c->flights.empty()) {  // handed out and never begun
      Flight f = std::move(c->flights.front());
      c->flights.erase(c->flights.begin());
      --state_->flying;
      for (Recipient* r : f.recipients) state_->back(*r, f.kind);
      state_->end_flight(*c, f);
    }
  }
  state_->remove(id);
  state_->settle_suspects(now);
}

std::vector<std::pair<MessageId, Outcome>> Planner::take_outcomes() {
  return std::exchange(state_->outcomes, {});
}
std::vector<SuspectChange> Planner::take_suspects() {
  return std::exchange(state_->changes, {});
}
std::vector<InDoubt> Planner::take_in_doubt() {
  return std::exchange(state_->named_in_doubt, {});
}
std::vector<MessageId> Planner::take_held() {
  return std::exchange(state_->held, {});
}
Withdrawal Planner::withdraw(MessageId message, std::uint32_t number) {
  return state_->withdraw(message, number);
}
void Planner::retry_now(MessageId message, TimePoint now) {
  state_->retry_now(message, now);
}

void Planner::clear_clock() {
  state_->host.clear();
}

void Planner::join(std::shared_ptr<SharedGroup> group) {
  state_->group = std::move(group);
  state_->paced = state_->group && state_->group->with([](const Group& g) { return g.paced(); });
}

void Planner::told(const HostFault& fault, TimePoint now) {
  state_->told(fault, now);
}

void Planner::freed() {
  state_->host.freed();
}

void Planner::overlap_refused(TimePoint now) {
  state_->host.overlap_off(now);
}

void Planner::reconfigure(Limits limits) {
  State& s = *state_;
  if (limits.rate != s.limits.rate || limits.rate_per != s.limits.rate_per)
    s.rate = Rate(limits.rate, limits.rate_per);
  s.limits = std::move(limits);
  s.limits.recipients_per_transaction = std::max(1u, s.limits.recipients_per_transaction);
}

HostMemory Planner::memory() const {
  HostMemory memory;
  state_->host.remember(memory);
  state_->learned.remember(memory);
  return memory;
}

bool Planner::forgettable(TimePoint now) const {
  const State& s = *state_;
  return s.hand.size() == 0 && s.connections.empty() && s.outcomes.empty() && s.changes.empty() &&
         s.held.empty() && s.host.last_drop() + evidence_lasts <= now;
}

bool Planner::untroubled() const {
  const State& s = *state_;
  return s.offered.empty() && s.parked.empty() && s.ask_again.empty() && s.isolating == 0 &&
         !s.hand.anything_paused() && !s.hand.anything_isolated();
}

void Planner::shrink() {
  State& s = *state_;
  s.hand.shrink();
  if (s.hand.size() == 0) std::vector<std::vector<Recipient*>>().swap(s.spare_vectors);
}

Health Planner::health(TimePoint now) const {
  const State& s = *state_;
  Health h;
  h.state = s.host.waiting(now) ? "waiting" : s.host.half_open() ? "half-open" : "up";
  if (s.host.waiting(now)) h.until = s.host.until();
  h.last_error = s.host.last_error();
  h.drops = s.host.drops();
  h.unproductive = s.host.unproductive(now);
  h.parked = s.offered.size + s.parked.size;
  h.learned_rcpts = s.learned.rcpts(now);
  h.learned_rejects = s.learned.reject_limit_known() ? s.learned.rejects() : 0;
  h.learned_messages = s.learned.messages();
  return h;
}

std::size_t Planner::in_hand() const {
  return state_->hand.size();
}

}  // namespace spoold::delivery
