// From due to in hand: what a lane claims from the store, and what it tells its planner of it.
#include <utility>

#include "server/delivery/lane.hpp"
#include "server/log.hpp"
#include "store/broken.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

// The messages of these claims that are not yet held, read in one transaction.
void learn_messages(store::Store& store, const std::vector<store::Claim>& coming, Claims& claims,
                    const std::string& route) {
  std::optional<store::Read> read;
  for (const store::Claim& claim : coming) {
    if (claim.recipients.empty() || claims.find(claim.message) != nullptr) continue;
    if (!read) read.emplace(store);
    auto message = store::spool::message(*read, claim.message);
    if (!message)
      throw store::Broken(
          store::Error::Kind::corrupt,
          "recipients of message " + store::id_text(claim.message) + " are due on route " + route +
              ", but table message has no row of it: the store is damaged; stop spoold and run "
              "`spoolctl check`");
    claims.hold(std::move(*message));
  }
}

delivery::Batch batch_of(const store::Claim& claim, const store::Message& message, const Outbox& outbox) {
  delivery::Batch batch;
  batch.message = claim.message;
  batch.one_each = message.list != 0 && message.copies != list::Copies::bulk;
  batch.recipients.reserve(claim.recipients.size());
  for (const store::Recipient& recipient : claim.recipients) {
    delivery::Candidate candidate;
    candidate.number = recipient.number;
    candidate.address = recipient.address;
    candidate.attempts = recipient.attempts;
    candidate.arrived = message.arrived;
    candidate.isolate = recipient.isolate;
    candidate.possible_duplicate = recipient.possible_duplicate;
    candidate.suspicion = outbox.suspicion(recipient.address);
    batch.recipients.push_back(std::move(candidate));
  }
  return batch;
}

}  // namespace

Claiming::Load Lane::load() const {
  return {claims_.open(), sessions_.size(), context_.connections.crowded()};
}

void Lane::claim_more() {
  const TimePoint at = now();
  const auto clock = Clock::now();
  claiming_.measure(clock);
  // A claim is a commit: in trouble it tries whether the store can commit again. With outcomes to settle these do.
  if (trouble_ && (outbox_.failed() || !claiming_.may_probe(clock))) return;
  if (claiming_.busy() || claiming_.next_due() > at || !planner_.receptive(at) || !may_claim()) return;
  const auto ask = claiming_.begin(load(), clock);
  if (!ask) return;
  const auto done = [this, alive = alive_, asked = ask->recipients, io = &thread_.io](auto result) {
    asio::post(*io, [this, alive, asked, result = std::move(result)]() mutable {
      if (*alive) guarded([&] { claimed(std::move(result), asked); });
    });
  };
  context_.store.claim(route_, at, ask->recipients, done,
                       ask->patient ? store::Job::Kind::patient : store::Job::Kind::change);
}

void Lane::claimed(store::Result<std::vector<store::Claim>> result, std::uint32_t asked) {
  poke_ = poke_ || context_.connections.crowded();  // another lane may want an idle connection now
  soon();
  if (!result) {
    claiming_.failed(now());
    log::event(log::Level::warning, "claim", {{"relay", route_}, {"reply", result.error().text}});
    return;
  }
  claiming_.came(std::move(*result), asked);
  take_claims();
}

void Lane::take_claims() {
  if (now() < claiming_.read_at()) return;
  std::optional<TimePoint> due;
  // All that can fail for lack of a reader comes first: nothing is half in hand when it does.
  try {
    learn_messages(context_.store, claiming_.coming(), claims_, route_);
    if (claiming_.filled()) {
      due = now();
    } else {
      const store::Read read(context_.store);
      due = store::spool::earliest_due(read, route_);
    }
  } catch (const store::Broken& broken) {
    if (broken.error.kind != store::Error::Kind::full) throw;
    claiming_.unreadable(now());
    log::event(log::Level::warning, "claim", {{"relay", route_}, {"reply", broken.error.text}});
    return;
  }
  for (store::Claim& claim : claiming_.coming()) take_claim(claim);
  claiming_.taken(due);
}

void Lane::take_claim(store::Claim& claim) {
  if (claim.recipients.empty()) return;
  const store::Id id = claim.message;
  delivery::Batch batch = batch_of(claim, claims_.find(id)->message, outbox_);
  claiming_.mostly_single(batch.one_each || claim.recipients.size() == 1);
  claims_.add(std::move(claim), claiming_.holds(id));
  planner_.add(std::move(batch), now());
  poke_ = true;
}

}  // namespace spoold::server
