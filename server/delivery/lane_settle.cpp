// From the planner's outcomes to the store: each is counted, logged, closed in the claims, and sent with the outbox.
#include <utility>

#include "server/delivery/lane.hpp"
#include "server/delivery/lane_log.hpp"
#include "server/delivery/raise.hpp"
#include "server/log.hpp"

namespace spoold::server {
namespace {

void count(Stats& stats, Verdict verdict) {
  switch (verdict) {
    case Verdict::delivered:
      ++stats.delivered;
      break;
    case Verdict::deferred:
      ++stats.deferred;
      break;
    case Verdict::failed:
      ++stats.failed;
      break;
    case Verdict::expired:
      ++stats.expired;
      break;
    case Verdict::released:
      break;
  }
}

}  // namespace

// Holds come before outcomes: an outcome of a message that the planner has just held is settled as held.
void Lane::collect() {
  for (const store::Id message : planner_.take_held())
    if (claims_.find(message) != nullptr) {
      claims_.hold_claims(message);
      claiming_.hold(message);
      log::event(log::Level::warning, "held",
                 {{"qid", store::id_text(message)},
                  {"relay", route_},
                  {"reply", "its content seems to end connections"}});
    }
  for (const delivery::HeldLane& held : planner_.take_alarms()) {
    ++context_.stats.lanes_held;
    log_alarm(held, route_);
  }
  for (auto& [message, outcome] : planner_.take_outcomes()) {
    const store::Recipient* recipient = claims_.recipient(message, outcome.number);
    if (recipient == nullptr) continue;
    claiming_.had_outcome();
    if (outcome.verdict != Verdict::released) {
      count(context_.stats, outcome.verdict);
      log_outcome(claims_.find(message)->message, *recipient, outcome, now());
    }
    claims_.close(message, std::move(outcome));
  }
  for (delivery::SuspectChange& change : planner_.take_suspects()) {
    log_suspect(change, route_);
    outbox_.suspect(std::move(change));
  }
}

void Lane::settle() {
  std::size_t i = 0;
  for (store::Settlement settlement : outbox_.next(claims_, planner_, way_.lmtp(), now())) {
    context_.store.settle(std::move(settlement),
                          [this, alive = alive_, io = &thread_.io, i](store::Result<store::Settled> result) {
                            asio::post(*io, [this, alive, i, result = std::move(result)]() mutable {
                              if (*alive) guarded([&] { settled(i, std::move(result)); });
                            });
                          });
    ++i;
  }
}

void Lane::settled(std::size_t i, store::Result<store::Settled> result) {
  const Outbox::Answer answer = outbox_.answered(i, result, now());
  if (!result)
    log::event(log::Level::error, "settle",
               {{"qid", store::id_text(answer.message)}, {"relay", route_}, {"reply", result.error().text}});
  else if (result->next_due != TimePoint{})
    claiming_.due(result->next_due);
  if (answer.refused) raise(thread_.io, answer.refused, route_);
  if (answer.complete) soon();
}

// Each by name, and its row of the store will say so too.
void Lane::name_in_doubt(const OutboundSession& session) {
  for (const delivery::InDoubt& copy : planner_.take_in_doubt())
    if (const store::Recipient* recipient = claims_.doubt(copy.message, copy.number))
      log_in_doubt(copy.message, *recipient, session.remote());
}

}  // namespace spoold::server
