// Suspects: parked, offered again alone and last, struck, poisoned, forgotten, released (isolation.md section
// 3).
#include <algorithm>
#include <utility>

#include "protocol/delivery/planner_state.hpp"

namespace spoold::delivery {
namespace {

constexpr std::size_t parked_at_most = 64;
constexpr std::size_t known_at_most = 10'000;
constexpr Duration parked_in_hand = std::chrono::minutes(2);
constexpr Duration due_in_hand = std::chrono::minutes(30);
constexpr Duration soon = std::chrono::seconds(150);  // worth waiting for in hand

// By three strikes at once it may still be the host: hours apart, with somebody else delivered, it is not.
bool poisoned(const Suspicion& s) {
  return s.strikes >= 3 && s.last_drop - s.first >= std::chrono::hours(4) && s.commits_between > 0;
}

Duration parked_for(const Suspicion& s) {
  if (poisoned(s)) return std::chrono::hours(6);
  switch (s.strikes) {
    case 0:
      return std::chrono::minutes(15);
    case 1:
      return std::chrono::hours(1);
    case 2:
      return std::chrono::hours(3);
    default:
      return std::chrono::hours(4);
  }
}

}  // namespace

// Bounded: whoever is forgotten here still has a row in the store.
void Planner::State::remember(const std::string& address, const Suspicion& suspicion) {
  if (known.size() >= known_at_most && !known.contains(address)) known.erase(known.begin());
  known[address] = suspicion;
}

void Planner::State::record(Recipient& r) {
  r.doubt->recorded = true;
  remember(r.address, r.doubt->suspicion);
  changes.push_back({r.address, r.doubt->suspicion});
}

void Planner::State::forget_suspicion(const std::string& address) {
  known.erase(address);
  changes.push_back({address, std::nullopt});
}

void Planner::State::describe(Connection& c, Doubt& d, const Finding& finding, const Drop& drop,
                              TimePoint now) {
  Suspicion& s = d.suspicion;
  if (s.first == TimePoint{}) s.first = now;
  s.last_drop = now;
  s.last_position = c.rcpts + 1;
  s.stage = Stage::rcpt;
  s.how = after_text(drop.how, Stage::rcpt);
  s.next = now + std::max<Duration>(jitter.spread(parked_for(s)), std::chrono::minutes(15));
  d.last = c.words(drop, Stage::rcpt, now);
  if (drop.how != Drop::How::reply_421 && drop.oldest != finding.stage)  // the text is about another command
    d.last.reply.text = waiting_text(drop.how, Stage::rcpt);
}

// The first drop, or a first half of one, only puts the recipient last (parked). A strike needs an earlier
// drop on record, at another position or time: the same experiment twice proves nothing new.
void Planner::State::suspect_dropped(Connection& c, const Flight& f, Recipient& r, const Finding& finding,
                                     const Drop& drop, bool certain, TimePoint now) {
  if (!r.doubt) r.doubt = std::make_unique<Doubt>();
  Doubt& d = *r.doubt;
  Suspicion& s = d.suspicion;
  const bool half = drop.how == Drop::How::reply_421;  // two of them make one
  // The same position within a minute repeats the first experiment, and its host may be short of something.
  const bool differs = c.rcpts + 1 != s.last_position || now - s.last_drop >= std::chrono::minutes(1);
  d.struck = false;
  if (!d.recorded) {
    s = {};
    s.first = now;
    s.parked = !half;
  } else if (!s.parked) {
    s.parked = true;
  } else if (differs) {
    ++s.strikes;
    d.struck = true;
    if (host.last_commit() > s.last_drop) ++s.commits_between;
  }
  describe(c, d, finding, drop, now);
  record(r);
  if (d.released) disbelieve();
  d.certain = certain || half;
  d.due = d.no_wait = d.released = false;
  d.since = now;
  if (f.kind == Flight::Kind::suspect || d.struck)
    settle_suspect(r, now);
  else
    wait_as_suspect(r);
}

// Where lock-step left no doubt, a connection only to make sure is not worth it; a due one has waited for it.
void Planner::State::wait_as_suspect(Recipient& r) {
  r.sent = false;
  (r.doubt->certain && !r.doubt->due ? parked : offered).push_back(r);
}

void Planner::State::settle_suspect(Recipient& r, TimePoint now) {
  Doubt& d = *r.doubt;
  if (r.line) r.line->remove(r);
  if (!d.recorded || d.last.at == TimePoint{}) {  // it was not its turn this time
    outcome(r, Verdict::released, false, std::max(reoffer_at(now), now + std::chrono::minutes(1)), {});
    return;
  }
  LastReply last = std::move(d.last);
  if (limits.lifetime > Duration{} && now - r.arrived >= limits.lifetime && d.suspicion.strikes > 0) {
    last.reply = {};
    last.reply.enhanced = {4, 4, 2};
    last.reply.text = "the remote closes the connection for this recipient";
  }
  defer(r, d.struck, std::max(d.suspicion.next, now), std::move(last), now);
}

// What a limit explains: no suspicion is left, in the store neither.
void Planner::State::release(const std::vector<std::string>& addresses) {
  for (const std::string& address : addresses) {
    bool recorded = known.contains(address);
    std::vector<Recipient*> these;
    for (Line* line : {&offered, &parked})
      for (Recipient* r = line->first; r; r = r->next)
        if (r->address == address && r->doubt->suspicion.strikes == 0) these.push_back(r);
    for (Recipient* r : these) {
      Doubt& d = *r->doubt;
      recorded = recorded || d.recorded;
      r->line->remove(*r);
      if (r->work->one_each) {  // nobody shares its transaction: it may go at once
        r->doubt.reset();
        r->work->ready.push_front(*r);
        hand.touch(*r->work);
        continue;
      }
      // Offered once more, last and alone: if the limit was believed wrongly that costs little.
      d.explained = std::exchange(d.suspicion, {});
      d.recorded = d.certain = false;
      d.no_wait = d.released = true;
      offered.push_back(*r);
    }
    if (recorded) forget_suspicion(address);
  }
}

void Planner::State::disbelieve() {
  learned.disbelieve();
  for (Recipient* r = offered.first; r;) {
    Recipient* following = r->next;
    if (Doubt& d = *r->doubt; d.released) {
      d.released = d.no_wait = false;
      d.certain = true;
      d.suspicion = d.explained;
      record(*r);
      offered.remove(*r);
      parked.push_back(*r);
    }
    r = following;
  }
}

Duration Planner::State::patience_with(const Recipient& r) const {
  return r.line == &offered && (r.doubt->due || r.doubt->no_wait) ? due_in_hand : parked_in_hand;
}

// Parked ones first: with nothing else to send they are not worth a connection, offered ones are. Too many of
// them, or for too long, take memory for nothing.
void Planner::State::settle_suspects(TimePoint now) {
  const bool idle = hand.ready_transactions(now) == 0 && !hand.anything_to_isolate(now) && in_flight() == 0;
  const bool none_open = idle && connections.empty();
  while (!parked.empty() && (none_open || parked.size > parked_at_most ||
                             now - parked.first->doubt->since >= patience_with(*parked.first)))
    settle_suspect(*parked.first, now);
  while (!offered.empty()) {
    const Doubt& d = *offered.first->doubt;
    const TimePoint at = d.no_wait ? now : reoffer_at(now);
    const bool hopeless =
        none_open ? at > now + soon : now - d.since >= patience_with(*offered.first) && !idle;
    if (!hopeless) break;
    settle_suspect(*offered.first, now);
  }
}

}  // namespace spoold::delivery
