// The lane adds claimed recipients to the hand; an edit withdraws recipients from it; an operator retries them.
#include <algorithm>
#include <utility>

#include "protocol/delivery/planner_state.hpp"

namespace spoold::delivery {
namespace {
constexpr Duration remembered = std::chrono::hours(24 * 30);
}  // namespace

void Planner::State::add(Batch batch, TimePoint now) {
  if (batch.recipients.empty()) return;
  Work& work = hand.work(batch.message, batch.one_each);
  // Those with a bad history last (section 6): their rejects use up the connection's budget.
  const auto tried = [&](const Candidate& c) { return c.attempts > 0 && !batch.one_each; };
  bool some_tried = false;
  for (Candidate& candidate : batch.recipients) {
    if (tried(candidate))
      some_tried = true;
    else
      take_in(work, candidate, now);
  }
  if (some_tried)
    for (Candidate& candidate : batch.recipients)
      if (tried(candidate)) take_in(work, candidate, now);
  hand.touch(work);
  // Its content may kill connections: one recipient probes first.
  if (const auto n = notes.find(batch.message); n != notes.end() && n->second.in_doubt > 0)
    hand.pause(work, now);
  if (last_fault && host.waiting(now)) return share_the_fault();
  if (!resting.empty()) settle_resting(work, now);
}

// To its line. What is known against the recipient decides before how its last attempt ended.
void Planner::State::take_in(Work& work, Candidate& candidate, TimePoint now) {
  const bool isolate = candidate.isolate;
  std::optional<Suspicion> suspicion = std::move(candidate.suspicion);
  if (const auto k = known.find(candidate.address); !known.empty() && k != known.end())
    suspicion = k->second;  // newer than the store's
  if (suspicion && suspicion->last_drop + remembered < now) suspicion.reset();
  Recipient& r = hand.create(work, std::move(candidate));
  if (isolate || suspicion) {
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
    return offered.push_back(r);
  }
  if (!asked_once.empty() && asked_once.contains({work.id, r.number})) return ask_again.push_back(r);
  const bool careful = !lock_step.empty() && lock_step.erase({work.id, r.number}) > 0;
  r.dropped = careful;
  (!careful ? work.ready : work.one_each ? work.ambiguous : work.unsent).push_back(r);
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
  resting.erase(message);
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

}  // namespace spoold::delivery
