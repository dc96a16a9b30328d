#include "server/delivery/claims.hpp"

#include <algorithm>

namespace spoold::server {
namespace {

std::optional<std::size_t> position_of(const Claims::Batch& batch, std::uint32_t number) {
  const auto& all = batch.claim.recipients;
  const auto at = std::lower_bound(all.begin(), all.end(), number,
                                   [](const store::Recipient& r, std::uint32_t n) { return r.number < n; });
  if (at == all.end() || at->number != number) return std::nullopt;
  return static_cast<std::size_t>(at - all.begin());
}

}  // namespace

Claims::Held* Claims::find(store::Id message) {
  const auto found = held_.find(message);
  return found == held_.end() ? nullptr : &found->second;
}

Claims::Held& Claims::hold(store::Message message) {
  const store::Id id = message.id;
  Held& held = held_[id];
  held.message = std::move(message);
  return held;
}

void Claims::add(store::Claim claim, bool held_meanwhile) {
  Held* held = find(claim.message);
  if (held == nullptr || claim.recipients.empty()) return;
  std::sort(claim.recipients.begin(), claim.recipients.end(),
            [](const store::Recipient& a, const store::Recipient& b) { return a.number < b.number; });
  Batch batch;
  batch.hold = held_meanwhile;
  batch.open = claim.recipients.size();
  batch.closed.resize(batch.open);
  batch.claim = std::move(claim);
  open_ += batch.open;
  const std::uint32_t first = batch.claim.recipients.front().number;
  held->batches.emplace(first, std::move(batch));
}

void Claims::hold_claims(store::Id message) {
  if (Held* held = find(message))
    for (auto& [first, batch] : held->batches) batch.hold = true;
}

void Claims::give_up(const store::Claim& claim, TimePoint next) {
  if (claim.recipients.empty()) return;
  store::Settlement& settlement = given_up_.emplace_back();
  settlement.message = claim.message;
  settlement.route = route_;
  settlement.claim_first = claim.first;
  for (const store::Recipient& recipient : claim.recipients) {
    Outcome& outcome = settlement.outcomes.emplace_back();
    outcome.number = recipient.number;
    outcome.charged = false;
    outcome.next_attempt = next;
    outcome.possible_duplicate = recipient.possible_duplicate;
    settlement.versions.push_back(recipient.version);
  }
}

// The batch where it is open; else one where it was.
std::optional<Claims::Found> Claims::found(store::Id message, std::uint32_t number) {
  Held* held = find(message);
  if (held == nullptr) return std::nullopt;
  std::optional<Found> found;
  for (auto at = held->batches.upper_bound(number); at != held->batches.begin();) {
    --at;
    const auto position = position_of(at->second, number);
    if (!position) continue;
    found = Found{Place(message, at), *position};
    if (!at->second.closed[*position]) break;
  }
  return found;
}

const store::Recipient* Claims::recipient(store::Id message, std::uint32_t number) {
  const auto at = found(message, number);
  return at ? &at->recipient() : nullptr;
}

const store::Recipient* Claims::doubt(store::Id message, std::uint32_t number) {
  const auto at = found(message, number);
  if (!at) return nullptr;
  at->recipient().possible_duplicate = true;
  return &at->recipient();
}

const store::Recipient* Claims::close(store::Id message, Outcome outcome) {
  const auto at = found(message, outcome.number);
  if (!at || at->batch().closed[at->position]) return nullptr;
  Batch& batch = at->batch();
  batch.closed[at->position] = true;
  --batch.open;
  --open_;
  held_.at(message).withdrawn.erase(outcome.number);
  const store::Recipient& recipient = at->recipient();
  batch.versions.push_back(recipient.version);
  outcome.possible_duplicate = recipient.possible_duplicate;
  batch.outcomes.push_back(std::move(outcome));
  if (!batch.listed) dirty_.push_back(at->place);
  batch.listed = true;
  return &recipient;
}

std::vector<store::Settlement> Claims::take() {
  std::vector<store::Settlement> all = std::exchange(given_up_, {});
  for (const Place& place : dirty_) {
    Batch& batch = place.second->second;
    store::Settlement& settlement = all.emplace_back();
    settlement.message = place.first;
    settlement.route = route_;
    settlement.claim_first = batch.claim.first;
    settlement.outcomes = std::exchange(batch.outcomes, {});
    settlement.versions = std::exchange(batch.versions, {});
    settlement.hold = batch.hold;
    batch.listed = false;
    taken_.push_back(place);
  }
  dirty_.clear();
  return all;
}

void Claims::forget_taken() {
  for (const Place& place : std::exchange(taken_, {})) {
    const Batch& batch = place.second->second;
    if (batch.open > 0 || batch.listed) continue;
    Held& held = held_.at(place.first);
    held.batches.erase(place.second);
    if (held.batches.empty()) held_.erase(place.first);
  }
}

std::vector<std::pair<store::Id, std::uint32_t>> Claims::all_open(bool withdrawn_too) const {
  std::vector<std::pair<store::Id, std::uint32_t>> all;
  for (const auto& [message, held] : held_)
    for (const auto& [first, batch] : held.batches)
      for (std::size_t i = 0; i < batch.closed.size(); ++i)
        if (const auto number = batch.claim.recipients[i].number;
            !batch.closed[i] && (withdrawn_too || !held.withdrawn.contains(number)))
          all.emplace_back(message, number);
  return all;
}

}  // namespace spoold::server
