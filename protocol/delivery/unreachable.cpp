// A host that cannot be reached: for now (its clock waits, nobody is charged), or for good (DNS says so).
#include <algorithm>
#include <utility>
#include <vector>

#include "protocol/delivery/planner_state.hpp"

namespace spoold::delivery {
namespace {

/// The host speaks for itself there. What a login or a handshake failed by is no host's wish to be left alone.
bool of_host(Stage stage) {
  return stage == Stage::greeting || stage == Stage::ehlo;
}

}  // namespace

void Planner::State::connect_failed(Stage stage, const LastReply& why, TimePoint now) {
  LastReply last = why;
  if (last.stage == Stage::none) last.stage = stage;
  const auto own = static_cast<std::uint32_t>(connections.size());
  const bool words = limits.replies && last.reply.code >= 400 && of_host(last.stage);
  const bool slower = words && meaning(last.reply, last.remote).action == conf::ReplyAction::lane_slow;
  if (words && !slower && ask_of_lane(last.reply, last, now)) return;
  // Others are open: one too many. Of this lane, or of the lanes with the same hosts.
  if (own > 0 && group) group->with([now](Group& g) { g.refused(now); });
  if (own == 0 && !(group && group->with([&](Group& g) { return g.one_too_many(last, own, now); }))) {
    host_fault(last, now);
    if (slower) ask_of_lane(last.reply, last, now);
    return;
  }
  host.refused(own, now);
  host.note_error(last.reply.oneline(), now);
}

void Planner::State::host_fault(const LastReply& last, TimePoint now) {
  // What the drops since the last delivery were blamed on is explained now.
  std::vector<std::string> explained;
  for (const auto& [address, suspicion] : known)
    if (suspicion.strikes == 0 && suspicion.last_drop >= host.last_commit() &&
        now - suspicion.last_drop < std::chrono::minutes(15))
      explained.push_back(address);
  host.fault(now, last.reply.oneline());  // sets until(), which the group and the outcomes below need
  if (group) {
    const auto own = static_cast<std::uint32_t>(
        std::ranges::count_if(connections, [](const auto& c) { return c->group != nullptr; }));
    HostFault fault{last, host.until(), host.failures()};
    fault.why.at = now;
    if (group->with([&](Group& g) { return g.fault(fault, own, now); })) host.shared();
  }
  for (const std::string& address : explained) {
    const Suspicion kept = known[address];
    changes.push_back({address, std::nullopt});
    for (Line* line : {&offered, &parked})
      for (Recipient* r = line->first; r; r = r->next)
        if (r->address == address) r->doubt->recorded = false;
    known[address] = kept;  // last in order when it comes back (I3), in memory only
  }
  last_fault = last;
  last_fault->at = now;
  give_back_all(host.until(), last, true, now);
}

// What waits goes back to the queue, or expires: an attempt failed after its lifetime.
void Planner::State::give_back_all(TimePoint next, const LastReply& words, bool failed, TimePoint now) {
  expiring = false;
  const LastReply last = words;  // it may be last_fault
  each_waiting([&](Recipient& r) {
    if (r.dropped && !r.doubt && lock_step.size() < 10'000) lock_step.emplace(r.work->id, r.number);  // I3

    const bool expired = failed && limits.lifetime > Duration{} && now - r.arrived >= limits.lifetime;
    expiring = expiring || expired;
    const bool own_words = r.doubt && r.doubt->last.at != TimePoint{};
    if (own_words && r.doubt->recorded)
      settle_suspect(r, now);
    else if (own_words)  // explained, and perhaps wrongly so: he may wait long for his next turn
      defer(r, false, next, std::move(r.doubt->last), now);
    else
      outcome(r, expired ? Verdict::expired : Verdict::released, false, expired ? TimePoint{} : next, last);
  });
}

// A claim that came while the host's clock waits: the failed attempt that set the clock counts for it too. So
// what is queued behind a dead host expires in one go, not a hand at a time each hour.
void Planner::State::share_the_fault() {
  give_back_all(host.until(), *last_fault, true, last_fault->at);
}

void Planner::State::told(const HostFault& fault, TimePoint now) {
  host.told(fault.until, fault.failures, fault.why.reply.oneline(), now);
  last_fault = fault.why;
  share_the_fault();
}

void Planner::State::unreachable_for_good(const LastReply& why, TimePoint now) {
  LastReply last = why;
  last.at = now;
  host.note_error(last.reply.oneline(), now);
  each_waiting([&](Recipient& r) {
    if (r.doubt && r.doubt->recorded) forget_suspicion(std::string(r.address));
    outcome(r, Verdict::failed, true, {}, last);
  });
}

// A host that greets with 521 is up: the lanes of its group wait for nothing more. Each of them asks for its
// own domain, which may have been given other hosts meanwhile.
void Planner::State::no_host_takes_mail(const LastReply& why, TimePoint now) {
  if (!connections.empty()) return connect_failed(Stage::greeting, why, now);
  LastReply last = why;
  if (!last.reply.enhanced.given()) last.reply.enhanced = {5, 3, 2};  // RFC 7504 6
  last_fault.reset();
  expiring = false;
  host.answered(now);
  if (group) group->with([now](Group& g) { g.reached(now); });
  unreachable_for_good(last, now);
}

}  // namespace spoold::delivery
