#include "server/delivery/claiming.hpp"

#include <algorithm>
#include <utility>

#include "store/spool/changes.hpp"

namespace spoold::server {
namespace {

constexpr std::size_t hand_least = 100, hand_most = 8000;
// So many recipients last longer than a claim that waits for company, also at 300,000 a second; or so many
// seconds' worth.
constexpr std::size_t plenty = 2000;
constexpr double plenty_of_time = 0.02;

}  // namespace

// Two transactions a connection, or a quarter of a second's work where that is more: enough that the wire
// never waits for a claim's commit, and little enough that a new message is not behind a long queue in
// memory.
std::size_t Claiming::target(const Load& load) const {
  const std::size_t each = mostly_single_ ? 1 : per_transaction_;
  const std::size_t connections = std::max<std::size_t>(load.connections, 1);
  // While others wait for a connection there are as many lanes as connections: each holds less.
  const std::size_t transactions = load.crowded ? 1 : 2;
  const auto quarter = static_cast<std::size_t>(rate_ / 4);
  return std::clamp(std::max(transactions * each * connections, quarter), hand_least, hand_most);
}

void Claiming::measure(Clock::time_point now) {
  if (now - rate_at_ < std::chrono::milliseconds(50)) return;
  const double seconds = std::chrono::duration<double>(now - rate_at_).count();
  rate_ = seconds < 1 ? static_cast<double>(closed_ - closed_before_) / seconds : 0;
  closed_before_ = closed_;
  rate_at_ = now;
}

std::optional<Claiming::Ask> Claiming::begin(const Load& load, Clock::time_point now) {
  probe_at_ = now + std::chrono::seconds(1);
  if (!has_room(load)) return std::nullopt;
  busy_ = true;
  next_due_ = TimePoint::max();  // due() moves it back when something becomes due meanwhile
  Ask ask;
  ask.recipients = static_cast<std::uint32_t>(target(load) - load.open);
  ask.patient = load.open >= plenty ||
                (rate_ > 0 && static_cast<double>(load.open) >= std::max(rate_ * plenty_of_time, 1.0));
  return ask;
}

void Claiming::failed(TimePoint now) {
  end();
  next_due_ = now + std::chrono::seconds(1);
}

void Claiming::came(std::vector<store::Claim> claims, std::uint32_t asked) {
  has_come_ = true;
  coming_ = std::move(claims);
  asked_ = asked;
  read_at_ = {};
}

bool Claiming::filled() const {
  std::size_t got = 0;
  // A claim without recipients counts too: the store spent a due entry on it.
  for (const store::Claim& claim : coming_) got += std::max<std::size_t>(claim.recipients.size(), 1);
  return got >= asked_;
}

void Claiming::taken(std::optional<TimePoint> due_next) {
  end();
  if (due_next) due(*due_next);
}

void Claiming::abandon() {
  coming_.clear();
  held_.clear();
  if (has_come_) end();
}

void Claiming::end() {
  coming_.clear();
  held_.clear();
  busy_ = has_come_ = false;
}

}  // namespace spoold::server
