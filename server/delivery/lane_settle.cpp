// Outcomes on their way to the store: collected from the planner, grouped by claim, one group of settlements
// at a time. The store makes one commit of a group; meanwhile the next one gathers. A group that cannot be
// committed now (a full disk) is kept and sent again each second, before anything else: nothing is sent twice
// because a disk was full. Outcomes that the store refuses for another reason stop the daemon.
#include <algorithm>
#include <utility>

#include "protocol/mail/ascii.hpp"
#include "server/delivery/lane.hpp"
#include "server/delivery/raise.hpp"
#include "server/log.hpp"
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

void Lane::collect() {
  for (const store::Id message : planner_.take_held())
    if (hand_.find(message) != nullptr) {
      hand_.hold_claims(message);
      if (claiming_) held_meanwhile_.insert(message);
      log::event(log::Level::warning, "held",
                 {{"qid", store::id_text(message)},
                  {"relay", route_},
                  {"reply", "its content seems to end connections"}});
    }
  for (auto& [message, outcome] : planner_.take_outcomes()) {
    const store::Recipient* recipient = hand_.recipient(message, outcome.number);
    if (recipient == nullptr) continue;
    ++closed_;
    if (outcome.verdict != Verdict::released) note(hand_.find(message)->message, *recipient, outcome);
    hand_.close(message, std::move(outcome));
  }
  take_suspects();
}

void Lane::note(const store::Message& message, const store::Recipient& recipient, const Outcome& outcome) {
  Stats& stats = context_.stats;
  switch (outcome.verdict) {
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
  log_outcome(message, recipient, outcome);
}

void Lane::take_suspects() {
  for (delivery::SuspectChange& change : planner_.take_suspects()) {
    log_suspect(change);
    const std::string key = mail::lower(change.address);
    // The last word counts: one row is written or deleted, not both.
    std::erase_if(suspects_now_, [&](const store::Suspect& s) { return s.address == change.address; });
    std::erase(forgotten_now_, change.address);
    if (!change.now) {
      suspects_.erase(key);
      forgotten_now_.push_back(std::move(change.address));
      continue;
    }
    const delivery::Suspicion& s = *change.now;
    store::Suspect row;
    row.route = route_;
    row.address = std::move(change.address);
    row.strikes = s.strikes;
    row.parked = s.parked;
    row.first = s.first;
    row.last_drop = s.last_drop;
    row.next = s.next;
    row.last_position = s.last_position;
    row.stage = s.stage;
    row.how = s.how;
    row.commits_between = s.commits_between;
    suspects_[key] = row;
    suspects_now_.push_back(std::move(row));
  }
}

void Lane::settle() {
  if (!settling_.empty()) {
    if (answers_owed_ == 0 && settle_at_ <= now()) send_settlements();
    return;
  }
  if (hand_.unsettled() || std::exchange(memory_stale_, false)) take_memory();
  const bool facts = !suspects_now_.empty() || !forgotten_now_.empty() || memory_now_;
  if (!hand_.unsettled() && !facts) return;
  settling_ = hand_.take();
  if (settling_.empty()) {
    if (!facts) return;
    settling_.emplace_back().route = route_;
  }
  // In the commit of the drop that taught it (isolation.md I3).
  settling_.front().suspects = std::exchange(suspects_now_, {});
  settling_.front().forgotten = std::exchange(forgotten_now_, {});
  settling_.front().host = std::exchange(memory_now_, std::nullopt);
  for (store::Settlement& settlement : settling_) note_untold(settlement);
  hand_.forget_taken();
  send_settlements();
}

void Lane::send_settlements() {
  answers_owed_ = settling_.size();
  for (std::size_t i = 0; i < settling_.size(); ++i) {
    store::Settlement copy = settling_[i];
    context_.store.settle(std::move(copy),
                          [this, alive = alive_, io = &io_, i](store::Result<store::Settled> result) {
                            asio::post(*io, [this, alive, i, result = std::move(result)]() mutable {
                              if (*alive) guarded([&] { settled(i, std::move(result)); });
                            });
                          });
  }
}

void Lane::settled(std::size_t i, store::Result<store::Settled> result) {
  store::Settlement& settlement = settling_[i];
  if (result) {
    if (result->next_due != TimePoint{}) next_due_ = std::min(next_due_, result->next_due);
    settlement = store::Settlement{};
  } else {
    const store::Error& error = result.error();
    log::event(log::Level::error, "settle",
               {{"qid", store::id_text(settlement.message)}, {"relay", route_}, {"reply", error.text}});
    settle_at_ = now() + std::chrono::seconds(1);
    if (!passes(error.kind)) {
      // Facts first: the outcomes are written even where their report is impossible. Outcomes that cannot be
      // written would be sent again after a restart without a word, so the daemon stops now and names them.
      if (!settlement.report_now) raise(io_, refused(settlement, error), route_);
      settlement.report_now = false;
    }
  }
  if (--answers_owed_ > 0) return;
  std::erase_if(settling_, [](const store::Settlement& s) { return s.route.empty(); });
  settle_failed_ = !settling_.empty();
  if (!settle_failed_) settle_at_ = TimePoint{};
  soon();
}

}  // namespace spoold::server
