// What an operator asks of a lane, and sees of it.
#include <utility>

#include "server/delivery/lane.hpp"

namespace spoold::server {

void Lane::withdraw(store::Id message, std::vector<std::uint32_t> numbers,
                    std::function<void(std::vector<delivery::Withdrawal>)> done) {
  withdrawals_.push_back({message, std::move(numbers), std::move(done)});
  soon();
}

// With no claim in flight: what the planner does not know is not in this lane's hand.
void Lane::answer_withdrawals() {
  for (Withdraw& asked : std::exchange(withdrawals_, {})) {
    std::vector<delivery::Withdrawal> answers;
    Claims::Held* held = claims_.find(asked.message);
    for (const std::uint32_t number : asked.numbers) {
      const auto answer =
          held == nullptr ? delivery::Withdrawal::idle : planner_.withdraw(asked.message, number);
      if (answer == delivery::Withdrawal::withdrawn) held->withdrawn.insert(number);
      answers.push_back(answer);
    }
    asked.done(std::move(answers));
  }
}

void Lane::give_back(store::Id message, const std::vector<std::uint32_t>& numbers) {
  for (const std::uint32_t number : numbers) {
    Claims::Held* held = claims_.find(message);
    if (held == nullptr || !held->withdrawn.contains(number)) continue;
    release(message, number, now());
  }
  soon();
}

void Lane::retry_now(store::Id message) {
  planner_.retry_now(message, now());
  place_.wish(now());
  poke_ = true;
  wake();
}

void Lane::clear_clock(TimePoint wished) {
  planner_.clear_clock();
  place_.wish(wished);
  place_.called();
  outbox_.look_at_memory();
  poke();
}

DestinationState Lane::state() const {
  DestinationState state;
  const delivery::Health health = planner_.health(now());
  state.route = route_;
  state.health = health.state;
  state.until = health.until;
  state.connections = static_cast<std::uint32_t>(sessions_.size());
  state.in_hand = static_cast<std::uint32_t>(claims_.open());
  state.suspects = health.parked;
  state.in_line = place_.in_line();
  if (place_.group()) state.group = place_.group()->name();
  if (waits_for_group() && health.until < place_.group_until()) {
    state.health = "waiting";
    state.until = place_.group_until();
  }
  state.memory = planner_.memory();
  return state;
}

}  // namespace spoold::server
