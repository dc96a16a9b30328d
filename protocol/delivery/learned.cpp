#include "protocol/delivery/learned.hpp"

#include <algorithm>
#include <functional>

namespace spoold::delivery {
namespace {

using Blame = Finding::Blame;
constexpr std::size_t kept = 32;
constexpr std::uint32_t most_of_a_number = 1'000'000'000;
constexpr std::uint32_t fewest_rcpts = 5;  // of drops, not replies: smaller positions agree by chance

bool other_recipients(const DropRecord& a, const DropRecord& b) {
  return a.suspect.empty() || a.suspect != b.suspect;
}

bool within_rcpts(const DropRecord& d) {
  return d.finding.blame == Blame::suspect || d.finding.stage == Stage::data ||
         (d.finding.answered > 0 && !d.finding.complete);
}

bool between_messages(const DropRecord& d) {
  return d.messages > 0 &&
         (d.finding.blame == Blame::ambiguous || d.finding.blame == Blame::sender ||
          (d.finding.blame == Blame::nobody && (d.finding.complete || d.finding.answered == 0)));
}

bool same_time(const DropRecord& a, const DropRecord& b) {
  const Duration one = a.at - a.opened, two = b.at - b.opened;
  const Duration tolerance = std::min(one, two) / 100 + std::chrono::milliseconds(20);
  return std::chrono::abs(one - two) <= tolerance;
}

}  // namespace

void Learned::restore(const HostMemory& m) {
  const auto number = [](const HostMemory::Fact& fact) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(fact.value, 100'000));
  };
  rcpts_ = {number(m.rcpts), m.rcpts.since};
  rcpts_of_connection_ = {number(m.rcpts_of_connection), m.rcpts_of_connection.since};
  messages_ = {number(m.messages), m.messages.since};
  age_ = {static_cast<std::uint32_t>(std::min<std::uint64_t>(m.age.value, 86'400'000)), m.age.since};
  if (m.rejects.value > 0) {
    reject_budget_ = std::min(number(m.rejects), usual_budget);
    rejects_since_ = m.rejects.since;
    reject_limit_ = m.reject_limit;
  }
}

void Learned::remember(HostMemory& m) const {
  m.rcpts = {rcpts_.value, rcpts_.since};
  m.rcpts_of_connection = {rcpts_of_connection_.value, rcpts_of_connection_.since};
  m.messages = {messages_.value, messages_.since};
  m.age = {age_.value, age_.since};
  if (rejects_since_ != TimePoint{}) m.rejects = {reject_budget_, rejects_since_};
  m.reject_limit = reject_limit_;
}

std::uint32_t Learned::Number::at(TimePoint now) const {
  if (value == 0 || now < since + std::chrono::hours(24)) return value;
  const auto days = std::chrono::duration_cast<std::chrono::hours>(now - since).count() / 24;
  std::uint64_t grown = value;
  for (std::int64_t day = 0; day < std::min<std::int64_t>(days, 40); ++day) grown += grown / 4 + 1;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(grown, most_of_a_number));
}

std::uint32_t Learned::rcpts(TimePoint now) const {
  return rcpts_.at(now);
}
std::uint32_t Learned::rcpts_of_connection(TimePoint now) const {
  return rcpts_of_connection_.at(now);
}

void Learned::survived(std::uint32_t in_transaction, std::uint32_t in_connection, std::uint32_t rejects,
                       std::uint32_t messages, Duration age) {
  most_.in_transaction = std::max(most_.in_transaction, in_transaction);
  most_.in_connection = std::max(most_.in_connection, in_connection);
  most_.rejects = std::max(most_.rejects, rejects);
  most_.messages = std::max(most_.messages, messages);
  most_.age = std::max(most_.age, age);
}

void Learned::rejects_used_up(TimePoint now) {
  if (reject_budget_ >= usual_budget || now < rejects_since_ + std::chrono::hours(24)) return;
  reject_budget_ = std::min(reject_budget_ * 2, usual_budget);
  rejects_since_ = now;
  if (reject_budget_ == usual_budget) reject_limit_ = false;
}

void Learned::errors_spent(std::uint32_t errors, TimePoint now) {
  reject_budget_ = std::max(1u, std::min(reject_budget_ / 2, errors - 1));
  reject_limit_ = true;
  rejects_since_ = now;
}

void Learned::too_many_recipients(std::uint32_t most, TimePoint now) {
  const std::uint32_t known = rcpts_.at(now);
  if (most > 0 && (known == 0 || most <= known)) rcpts_ = {most, now};
}

std::optional<Learned::Limit> Learned::weigh(const DropRecord& drop, std::vector<std::string>& explained) {
  std::optional<Limit> limit;
  std::function<bool(const DropRecord&)> same;
  const auto agree = [&](std::function<bool(const DropRecord&)> test) {
    same = std::move(test);
    // Only connections one after the other: those side by side are alike for other reasons.
    return std::ranges::count_if(drops_, [&](const DropRecord& d) {
      return d.at <= drop.opened && other_recipients(d, drop) && same(d);
    });
  };

  if (between_messages(drop) && most_.messages <= drop.messages &&
      agree([&](const DropRecord& d) { return between_messages(d) && d.messages == drop.messages; }) >= 1) {
    limit = Limit::messages;
    messages_ = {drop.messages, drop.at};
  } else if (drop.last_was_reject && drop.finding.blame != Blame::in_doubt && most_.rejects == 0 &&
             agree([](const DropRecord& d) { return d.last_was_reject && d.rejects == 1; }) >= 1 &&
             drop.rejects == 1) {
    limit = Limit::hangs_up;
    reject_budget_ = 1;
    reject_limit_ = true;
    rejects_since_ = drop.at;
  } else if (drop.rejects >= 2 && most_.rejects <= drop.rejects &&
             agree([&](const DropRecord& d) { return d.rejects == drop.rejects; }) >= 1) {
    limit = Limit::rejects;
    reject_budget_ = std::max(1u, std::min(reject_budget_ / 2, drop.rejects - 1));
    reject_limit_ = true;
    rejects_since_ = drop.at;
  } else if (within_rcpts(drop) && drop.finding.answered >= fewest_rcpts &&
             most_.in_transaction <= drop.finding.answered &&
             agree([&](const DropRecord& d) {
               return within_rcpts(d) && d.finding.answered == drop.finding.answered;
             }) >= 1) {
    limit = Limit::rcpts;
    rcpts_ = {static_cast<std::uint32_t>(drop.finding.answered) - 1, drop.at};
  } else if (drop.in_connection >= fewest_rcpts && most_.in_connection <= drop.in_connection &&
             agree([&](const DropRecord& d) { return d.in_connection == drop.in_connection; }) >= 3) {
    limit = Limit::rcpts_of_connection;
    rcpts_of_connection_ = {drop.in_connection - 1, drop.at};
  } else if (drop.how != Drop::How::timeout && drop.at - drop.opened >= std::chrono::seconds(2) &&
             most_.age <= (drop.at - drop.opened) + std::chrono::milliseconds(50) &&
             agree([&](const DropRecord& d) { return d.how != Drop::How::timeout && same_time(d, drop); }) >=
                 1) {
    limit = Limit::time;
    age_ = {
        static_cast<std::uint32_t>(std::min<Duration>(drop.at - drop.opened, std::chrono::hours(24)).count()),
        drop.at};
  }

  // Whatever the reason of this drop: so far the connection lived.
  survived(static_cast<std::uint32_t>(drop.finding.answered), drop.in_connection,
           drop.rejects - (drop.last_was_reject && drop.rejects > 0 ? 1 : 0), drop.messages,
           drop.at - drop.opened);
  if (limit) {
    std::erase_if(drops_, [&](const DropRecord& d) {
      if (!other_recipients(d, drop) || !same(d)) return false;
      if (!d.suspect.empty()) explained.push_back(d.suspect);
      return true;
    });
    if (!drop.suspect.empty()) explained.push_back(drop.suspect);
    return limit;
  }
  drops_.push_back(drop);
  if (drops_.size() > kept) drops_.pop_front();
  return std::nullopt;
}

}  // namespace spoold::delivery
