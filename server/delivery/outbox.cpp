#include "server/delivery/outbox.hpp"

#include <utility>

#include "protocol/mail/ascii.hpp"
#include "server/delivery/dsn_of_hop.hpp"
#include "store/broken.hpp"

namespace spoold::server {
namespace {

bool passes(store::Error::Kind kind) {
  return kind == store::Error::Kind::full || kind == store::Error::Kind::io ||
         kind == store::Error::Kind::stopped;
}

std::exception_ptr refused(const store::Settlement& settlement, const store::Error& error) {
  return std::make_exception_ptr(store::Broken(
      store::Error::Kind::corrupt,
      "the store refuses " + std::to_string(settlement.outcomes.size()) + " outcomes of message " +
          store::id_text(settlement.message) + " on route " + settlement.route + " (" + error.text +
          "): the next start tries these recipients again; run `spoolctl check`"));
}

}  // namespace

Outbox::Outbox(std::string route, delivery::HostMemory written, std::vector<store::Suspect> suspects)
    : route_(std::move(route)), written_(std::move(written)) {
  for (store::Suspect& row : suspects) {
    std::string key = mail::lower(row.address);
    suspects_.emplace(std::move(key), std::move(row));
  }
}

std::optional<delivery::Suspicion> Outbox::suspicion(const std::string& address) const {
  if (suspects_.empty()) return std::nullopt;
  const auto known = suspects_.find(mail::lower(address));
  if (known == suspects_.end()) return std::nullopt;
  return known->second;
}

void Outbox::suspect(delivery::SuspectChange change) {
  const std::string key = mail::lower(change.address);
  // The last change counts: a row is written or deleted, not both.
  std::erase_if(changed_, [&](const store::Suspect& s) { return s.address == change.address; });
  std::erase(forgotten_, change.address);
  if (!change.now) {
    suspects_.erase(key);
    forgotten_.push_back(std::move(change.address));
    return;
  }
  store::Suspect row{std::move(*change.now), route_, std::move(change.address)};
  suspects_[key] = row;
  changed_.push_back(std::move(row));
}

void Outbox::take_memory(const delivery::Planner& planner) {
  delivery::HostMemory memory = planner.memory();
  if (!delivery::worth_writing(written_, memory)) return;
  written_ = memory;
  memory_ = std::move(memory);
}

const std::vector<store::Settlement>& Outbox::next(Claims& claims, const delivery::Planner& planner,
                                                   bool lmtp, TimePoint now) {
  static const std::vector<store::Settlement> nothing;
  // A group that is with the store, or failed, comes before all that gathered since.
  if (!group_.empty()) {
    if (owed_ > 0 || again_at_ > now) return nothing;
    owed_ = group_.size();
    return group_;
  }
  if (claims.unsettled() || std::exchange(look_at_memory_, false)) take_memory(planner);
  const bool facts = !changed_.empty() || !forgotten_.empty() || memory_;
  if (!claims.unsettled() && !facts) return nothing;
  group_ = claims.take();
  // Facts without an outcome travel in a settlement of no message.
  if (group_.empty()) group_.emplace_back().route = route_;
  group_.front().suspects = std::exchange(changed_, {});
  group_.front().forgotten = std::exchange(forgotten_, {});
  group_.front().host = std::exchange(memory_, std::nullopt);
  // Before the claims forget what they have given: who asked for a report stands in the claim.
  for (store::Settlement& settlement : group_) note_untold(settlement, claims, lmtp);
  claims.forget_taken();
  owed_ = group_.size();
  return group_;
}

Outbox::Answer Outbox::answered(std::size_t i, const store::Result<store::Settled>& result, TimePoint now) {
  Answer answer;
  store::Settlement& settlement = group_[i];
  answer.message = settlement.message;
  if (result) {
    settlement = store::Settlement{};
  } else {
    again_at_ = now + std::chrono::seconds(1);
    if (!passes(result.error().kind)) {
      // The outcomes are written even where their report cannot be made: once more without it. Only when they
      // are refused without a report too the daemon stops, and names them.
      if (!settlement.report_now) answer.refused = refused(settlement, result.error());
      settlement.report_now = false;
    }
  }
  if (--owed_ > 0) return answer;
  answer.complete = true;
  std::erase_if(group_, [](const store::Settlement& s) { return s.route.empty(); });
  failed_ = !group_.empty();
  if (!failed_) again_at_ = TimePoint{};
  return answer;
}

}  // namespace spoold::server
