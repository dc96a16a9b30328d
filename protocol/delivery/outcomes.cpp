// The outcome of one recipient, and the way back to the hand for one who has none.
#include <string>
#include <utility>

#include "protocol/delivery/planner_state.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::delivery {
namespace {

constexpr Duration one_session = std::chrono::seconds(30);
constexpr std::size_t asked_at_most = 10'000;

// Each recipient keeps the words he was answered with: a talkative host must not fill the disk.
void cut(std::string& words) {
  constexpr std::size_t most = 1000;
  if (words.size() <= most) return;
  words.resize(mail::utf8_front(words, most).size());
  words += " ...";
}

}  // namespace

// Recipients that one session defers are tried again together: one connection, not one for each.
TimePoint Planner::State::deferral(Connection& c, std::uint32_t attempts, TimePoint now) {
  if (now - c.deferral_base > one_session) c.deferral_base = now;
  return c.deferral_base + Jitter::scaled(step(limits.retry, attempts), c.jitter);
}

void Planner::State::outcome(Recipient& r, Verdict verdict, bool charged, TimePoint next, LastReply last) {
  auto& [message, o] = outcomes.emplace_back();
  message = r.work->id;
  if (!asked_once.empty() && verdict != Verdict::deferred && verdict != Verdict::released)
    asked_once.erase({r.work->id, r.number});
  o.number = r.number;
  o.verdict = verdict;
  o.charged = charged;
  o.next_attempt = next;
  o.last = std::move(last);
  cut(o.last.reply.text);
  hand.forget(r);
}

void Planner::State::defer(Recipient& r, bool charged, TimePoint next, LastReply last, TimePoint now) {
  const bool expired = limits.lifetime > Duration{} && now - r.arrived >= limits.lifetime;
  outcome(r, expired ? Verdict::expired : Verdict::deferred, charged, expired ? TimePoint{} : next,
          std::move(last));
}

void Planner::State::back(Recipient& r, Flight::Kind kind) {
  if (r.withdrawn) {
    hand.forget(r);
    return;
  }
  r.sent = false;
  if (r.doubt)
    wait_as_suspect(r);
  else if (kind == Flight::Kind::chunk)
    r.work->unsent.push_front(r);
  else if (kind == Flight::Kind::ambiguous)
    r.work->ambiguous.push_front(r);
  else if (kind == Flight::Kind::vouched)
    r.work->vouched.push_front(r);
  else if (kind == Flight::Kind::again)
    ask_again.push_front(r);
  else
    r.work->ready.push_front(r);
}

// In reverse, so that they stand in the line as they stood in the transaction.
void Planner::State::back(std::vector<Recipient*>& these, Flight::Kind kind) {
  for (auto r = these.rbegin(); r != these.rend(); ++r) back(**r, kind);
  these.clear();
}

void Planner::State::deliver(Connection& c, Recipient& r, const smtp::Reply& reply, TimePoint now) {
  if (r.doubt && r.doubt->recorded) forget_suspicion(r.address);
  outcome(r, Verdict::delivered, true, {}, c.words(reply, Stage::dot, now));
}

void Planner::State::refuse(Connection& c, Recipient& r, const smtp::Reply& reply, Stage stage,
                            TimePoint now) {
  LastReply last = c.words(reply, stage, now);
  if (!limits.replies || !heed(c, r, last, now)) refused(c, r, std::move(last), now);
}

void Planner::State::refused(Connection& c, Recipient& r, LastReply last, TimePoint now) {
  if (last.reply.permanent()) {
    if (r.doubt && r.doubt->recorded) forget_suspicion(r.address);
    outcome(r, Verdict::failed, true, {}, std::move(last));
    return;
  }
  defer(r, true, deferral(c, r.attempts, now), std::move(last), now);
}

// Exim's `drop` answers whoever comes after too many refusals with the words for those, and hangs up. So a
// 5xx of that kind is no verdict yet: he is asked once more, as the first one of a connection.
void Planner::State::refuse_at_parting(Connection& c, Recipient& r, LastReply words, bool hung_up,
                                       TimePoint now) {
  const bool too_late = limits.lifetime > Duration{} && now - r.arrived >= limits.lifetime;
  if (!hung_up || too_late || asked_once.size() >= asked_at_most ||
      !asked_once.emplace(r.work->id, r.number).second)
    return refuse(c, r, words.reply, Stage::rcpt, now);
  const Duration wait =
      limits.isolation_waits.empty() ? std::chrono::seconds(5) : limits.isolation_waits.front();
  defer(r, false, now + jitter.spread(wait), std::move(words), now);
}

void Planner::State::settle_parting(Connection& c, bool hung_up, TimePoint now) {
  if (Recipient* r = std::exchange(c.parting, nullptr))
    refuse_at_parting(c, *r, std::move(c.parting_words), hung_up, now);
}

}  // namespace spoold::delivery
