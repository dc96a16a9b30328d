// From due to in hand: how much a lane claims, when, and what it tells its planner of it.
#include <algorithm>
#include <utility>

#include "protocol/mail/ascii.hpp"
#include "server/delivery/lane.hpp"
#include "server/log.hpp"
#include "store/broken.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

delivery::Suspicion suspicion_of(const store::Suspect& row) {
  delivery::Suspicion s;
  s.strikes = row.strikes;
  s.parked = row.parked;
  s.first = row.first;
  s.last_drop = row.last_drop;
  s.next = row.next;
  s.last_position = row.last_position;
  s.stage = row.stage;
  s.how = row.how;
  s.commits_between = row.commits_between;
  return s;
}

constexpr std::size_t hand_least = 100, hand_most = 8000;
// So many last longer than a claim that waits for company, also at 300,000 a second; or so many seconds'
// worth.
constexpr std::size_t plenty = 2000;
constexpr double plenty_of_time = 0.02;

}  // namespace

// Two transactions a connection, or a quarter of a second's work where that is more: enough that the wire
// never waits for a claim's commit, and little enough that a new message is not behind a long queue in
// memory.
std::size_t Lane::hand_target() const {
  const std::size_t each =
      mostly_single_ ? 1 : static_cast<std::size_t>(settings_->delivery.recipients_per_transaction);
  const std::size_t connections = std::max<std::size_t>(sessions_.size(), 1);
  // While others wait for a connection there are as many lanes as connections: each holds less.
  const std::size_t transactions = context_.connections.crowded() ? 1 : 2;
  const auto quarter = static_cast<std::size_t>(rate_ / 4);
  return std::clamp(std::max(transactions * each * connections, quarter), hand_least, hand_most);
}

void Lane::claim_more() {
  const TimePoint at = now();
  const auto clock = Clock::now();
  if (clock - rate_at_ >= std::chrono::milliseconds(50)) {
    const double seconds = std::chrono::duration<double>(clock - rate_at_).count();
    rate_ = seconds < 1 ? static_cast<double>(closed_ - closed_before_) / seconds : 0;  // 0: not known
    closed_before_ = closed_;
    rate_at_ = clock;
  }
  if (trouble_ && (settle_failed_ || clock < probe_at_)) return;
  if (claiming_ || next_due_ > at || !planner_.receptive(at) || !may_claim()) return;
  probe_at_ = clock + std::chrono::seconds(1);
  const std::size_t target = hand_target(), open = hand_.open();
  if (open > target * 3 / 4) return;
  claiming_ = true;
  const auto asked = static_cast<std::uint32_t>(target - open);
  next_due_ = TimePoint::max();  // what is woken meanwhile is not lost: wake() moves it back
  const bool lasts =
      open >= plenty || (rate_ > 0 && static_cast<double>(open) >= std::max(rate_ * plenty_of_time, 1.0));
  const auto kind = lasts ? store::Job::Kind::patient : store::Job::Kind::change;
  const auto done = [this, alive = alive_, asked, io = &io_](auto result) {
    asio::post(*io, [this, alive, asked, result = std::move(result)]() mutable {
      if (*alive) guarded([&] { claimed(std::move(result), asked); });
    });
  };
  context_.store.claim(route_, at, asked, done, kind);
}

void Lane::claimed(store::Result<std::vector<store::Claim>> result, std::uint32_t asked) {
  poke_ = poke_ || context_.connections.crowded();  // an idle connection may be somebody else's now
  soon();
  if (!result) {
    claiming_ = false;
    held_meanwhile_.clear();
    next_due_ = now() + std::chrono::seconds(1);
    log::event(log::Level::warning, "claim", {{"relay", route_}, {"reply", result.error().text}});
    return;
  }
  claim_read_ = true;
  coming_ = std::move(*result);
  asked_ = asked;
  read_at_ = {};
  take_claims();
}

// The claims stay in coming_ until the store could be read: they are durable, and nobody else would settle
// them before the next start. Meanwhile claiming_ holds, as for a claim that is being made.
void Lane::take_claims() {
  if (now() < read_at_) return;
  std::size_t got = 0;
  for (const store::Claim& claim : coming_) got += std::max<std::size_t>(claim.recipients.size(), 1);
  std::optional<TimePoint> due;
  try {
    learn_messages();
    if (got >= asked_) {
      due = now();
    } else {
      const store::Read read(context_.store);
      due = store::spool::earliest_due(read, route_);
    }
  } catch (const store::Broken& broken) {
    if (broken.error.kind != store::Error::Kind::full) throw;
    read_at_ = now() + std::chrono::seconds(1);
    log::event(log::Level::warning, "claim", {{"relay", route_}, {"reply", broken.error.text}});
    return;
  }
  for (store::Claim& claim : coming_) take_claim(claim);
  coming_.clear();
  held_meanwhile_.clear();
  claiming_ = claim_read_ = false;
  if (due) next_due_ = std::min(next_due_, *due);
}

// The messages of these claims that are not yet held, read in one transaction.
void Lane::learn_messages() {
  std::optional<store::Read> read;
  for (const store::Claim& claim : coming_) {
    if (claim.recipients.empty() || hand_.find(claim.message) != nullptr) continue;
    if (!read) read.emplace(context_.store);
    auto message = store::spool::message(*read, claim.message);
    if (!message)
      throw store::Broken(
          store::Error::Kind::corrupt,
          "recipients of message " + store::id_text(claim.message) + " are due on route " + route_ +
              ", but table message has no row of it: the store is damaged; stop spoold and run "
              "`spoolctl check`");
    hand_.hold(std::move(*message));
  }
}

void Lane::take_claim(store::Claim& claim) {
  if (claim.recipients.empty()) return;
  const store::Id id = claim.message;
  const Hand::Held* held = hand_.find(id);
  delivery::Batch batch;
  batch.message = id;
  batch.one_each = held->message.list != 0 && held->message.copies != list::Copies::bulk;
  mostly_single_ = batch.one_each || claim.recipients.size() == 1;
  batch.recipients.reserve(claim.recipients.size());
  for (const store::Recipient& recipient : claim.recipients) {
    delivery::Candidate candidate;
    candidate.number = recipient.number;
    candidate.address = recipient.address;
    candidate.attempts = recipient.attempts;
    candidate.arrived = held->message.arrived;
    candidate.isolate = recipient.isolate;
    candidate.possible_duplicate = recipient.possible_duplicate;
    if (!suspects_.empty())
      if (const auto known = suspects_.find(mail::lower(recipient.address)); known != suspects_.end())
        candidate.suspicion = suspicion_of(known->second);
    batch.recipients.push_back(std::move(candidate));
  }
  hand_.add(std::move(claim), held_meanwhile_.contains(id));
  planner_.add(std::move(batch), now());
  poke_ = true;
}

}  // namespace spoold::server
