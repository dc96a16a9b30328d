// When: how many connections now, when to ask again, which rates and waits bind, and who has been slow for
// too long.
#include <algorithm>
#include <utility>

#include "protocol/delivery/planner_state.hpp"

namespace spoold::delivery {
namespace {
constexpr Duration stuck_after =
    std::chrono::seconds(5);  // a busy connection this long does not count as one
}  // namespace

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
  if (!paced) return own;
  const TimePoint slow = std::max(own, host.pace().at(now));
  return group_paced ? std::max(slow, group->with([now](const Group& g) { return g.turn_at(now); })) : slow;
}

bool Planner::State::take_rate(TimePoint now) {
  if (!rate.ready(now) || (paced && !take_paced(now))) return false;
  return rate.take(now);
}

void Planner::State::give_rate() {
  rate.give_back();
  if (!paced) return;
  host.pace().give_back();
  if (group_paced) group->with([](Group& g) { g.give_turn(); });
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

}  // namespace spoold::delivery
