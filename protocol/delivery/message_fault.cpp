// What a lost connection says of a message: its content is in doubt or kills connections, its sender is not
// liked (isolation.md sections 5 and 6).
#include <algorithm>
#include <array>
#include <utility>

#include "protocol/delivery/planner_state.hpp"

namespace spoold::delivery {
namespace {

constexpr std::array<Duration, 3> doubt_waits = {std::chrono::minutes(10), std::chrono::minutes(30),
                                                 std::chrono::hours(1)};
constexpr std::uint32_t doubts_to_hold = 3;
constexpr std::uint32_t sender_drops = 3;
constexpr std::size_t notes_kept = 1000;

}  // namespace

// A thousand messages in trouble at one host at once: the oldest trouble begins anew then.
Note& Planner::State::note(MessageId id, TimePoint now) {
  if (notes.size() >= notes_kept && !notes.contains(id)) {
    const auto oldest = std::ranges::min_element(notes, {}, [](const auto& n) { return n.second.last; });
    notes.erase(oldest);
  }
  const auto [at, fresh] = notes.try_emplace(id);
  Note& n = at->second;
  if (fresh) {
    n.commits = host.commits();
    n.doubted = now;
  }
  n.last = now;
  return n;
}

void Planner::State::content_fault(Connection& c, Flight& f, const Finding& finding, Open& open,
                                   const Drop& drop, TimePoint now) {
  Work& work = *f.work;
  const std::uint32_t times = ++note(work.id, now).content;
  const auto accepted = static_cast<std::uint32_t>(open.accepted.size());
  if (times == 1) return;            // chance, until it happens again
  if (times == 2 && accepted > 1) {  // bisect once
    work.vouched_limit = (accepted + 1) / 2;
    return;
  }
  const LastReply last = c.words(drop, finding.stage, now);
  for (Recipient* r : std::exchange(open.accepted, {}))
    defer(*r, false, deferral(c, times - 2, now), last, now);
}

void Planner::State::in_doubt(Connection& c, Flight& f, Open& open, const Drop& drop, TimePoint now) {
  Work& work = *f.work;
  Note& n = note(work.id, now);
  // Transactions that were under way when the doubt began are no further evidence.
  if (n.in_doubt == 0 || f.begun >= n.doubted) {
    ++n.in_doubt;
    n.doubted = now;
  }
  const Duration wait = jitter.spread(doubt_waits[std::min<std::size_t>(n.in_doubt, doubt_waits.size()) - 1]);
  const LastReply last = c.words(drop, Stage::dot, now);
  for (Recipient* r : std::exchange(open.accepted, {})) {
    if (limits.lmtp) {  // retried alone; no strike
      if (!r->doubt) r->doubt = std::make_unique<Doubt>();
      Suspicion& s = r->doubt->suspicion;
      if (s.first == TimePoint{}) s.first = now;
      s.last_drop = now;
      s.next = now + wait;
      s.stage = Stage::dot;
      s.how = after_text(drop.how, Stage::dot);
      record(*r);
    }
    defer(*r, false, now + wait, last, now);
  }
  // Without a delivery to anybody it may be the host that dies at contents, whatever is in them.
  const bool others_commit = host.commits() > n.commits;
  if (n.in_doubt >= doubts_to_hold) {
    if (others_commit) {
      held.push_back(work.id);
      notes.erase(work.id);
    }
    rest_of_message(work, now + wait, last);
  } else {
    Duration until_probe{};
    if (n.in_doubt > 1)
      until_probe =
          jitter.spread(limits.isolation_waits.empty() ? Duration(5000) : limits.isolation_waits.front());
    hand.pause(work, now + until_probe);
  }
}

void Planner::State::name_in_doubt(MessageId message, const Open& open) {
  for (const auto* line : {&open.accepted, &open.silent})
    for (Recipient* r : *line) {
      r->possible_duplicate = true;
      named_in_doubt.push_back({message, r->number});
    }
}

// No evidence against its content, nor a reason to pause its message: but it may have been delivered.
void Planner::State::in_doubt_behind(Connection& c, Open& open, const Drop& drop, TimePoint now) {
  const TimePoint next = now + Jitter::scaled(doubt_waits.front(), c.jitter);  // all of a connection together
  for (auto* line : {&open.accepted, &open.silent})
    for (Recipient* r : std::exchange(*line, {})) defer(*r, false, next, c.words(drop, Stage::dot, now), now);
}

// One drop at MAIL is chance, and two are a limit on messages. From the third on the whole message waits, so
// that it does not end a connection for each of its recipients.
void Planner::State::sender_fault(Connection& c, Work& work, const Drop& drop, TimePoint now) {
  const std::uint32_t times = ++note(work.id, now).sender;
  if (times < sender_drops) return;
  const Duration wait = doubling(std::chrono::minutes(1), times - sender_drops + 1);
  rest_of_message(work, now + jitter.spread(wait), c.words(drop, Stage::mail, now));
}

bool Planner::State::sender_in_trouble(MessageId id) const {
  if (notes.empty()) return false;
  const auto n = notes.find(id);
  return n != notes.end() && n->second.sender > 0;
}

// Was lost at MAIL of a message that had ended enough connections there to wait for itself.
bool Planner::State::known_sender(const DropRecord& record) const {
  if (record.finding.stage != Stage::mail) return false;
  const auto n = notes.find(record.message);
  return n != notes.end() && n->second.sender > sender_drops;
}

void Planner::State::rest_of_message(Work& work, TimePoint next, const LastReply& last) {
  ++work.slots;
  for (Line* line : {&work.ready, &work.vouched, &work.unsent, &work.ambiguous})
    while (!line->empty()) outcome(line->pop_front(), Verdict::released, false, next, last);
  hand.resume(work);
  --work.slots;
  hand.touch(work);
}

}  // namespace spoold::delivery
