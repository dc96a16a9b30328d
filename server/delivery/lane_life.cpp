// When a lane comes, waits and goes: its place among the others (connections.hpp), what it remembers of its
// host, and what an operator sees of it.
#include <algorithm>
#include <utility>

#include "server/delivery/lane.hpp"

namespace spoold::server {
namespace {

constexpr auto turn_of_a_connection = std::chrono::seconds(5);  // while others wait for one

}  // namespace

void Lane::granted() {
  in_line_ = false;
  if (std::exchange(granted_, true)) context_.connections.give();
  soon();
}

void Lane::called() {
  group_until_ = {};
  planner_.freed();
  poke();
}

// A connection of its group, or when to ask again. Without any it waits as long as the group does, for its
// clock too; its hand goes back to the queue meanwhile.
std::unique_ptr<Seat> Lane::take_seat(TimePoint at) {
  if (at < group_until_) return nullptr;
  const bool has_one = !sessions_.empty(), modest = has_one || std::exchange(gave_way_, false);
  const auto answer = group_->with([&](delivery::Group& g) {
    if (wished_ != TimePoint{}) g.clear(std::exchange(wished_, {}));
    return g.take(route_, way_.group()->connections, has_one, modest, at);
  });
  if (answer.granted) return std::make_unique<Seat>(group_);
  if (answer.fault && !has_one) {  // from here on its own clock says so
    planner_.told(*answer.fault, at);
    memory_stale_ = true;
    soon();
  } else {
    group_until_ = answer.until;
  }
  return nullptr;
}

// Claimed recipients take memory: only for a lane that has a connection for them.
bool Lane::may_claim() {
  if (waits_for_group()) return false;
  const auto stays = [](const auto& s) { return !s->yields && !(s->seat && s->seat->yields()); };
  if (granted_ || std::any_of(sessions_.begin(), sessions_.end(), stays)) return true;
  if (in_line_) return false;
  granted_ = context_.connections.take();
  if (!granted_) {
    in_line_ = true;
    keeper_.stand_in_line(*this);
  }
  return granted_;
}

// Not needed now: somebody else may have it.
void Lane::return_grant() {
  if (!granted_ || claiming_) return;
  granted_ = false;
  context_.connections.give();
}

// While others wait for a connection: idle ones go, further ones of a lane that has several, and after its
// turn also the only one of a lane without trouble (what is known of trouble would be lost with its hand).
bool Lane::gives_way(OutboundSession& session, bool idle) {
  if (session.yields || (session.seat && session.seat->yields())) return true;
  const bool crowded = context_.connections.crowded(), group = session.seat && session.seat->crowded();
  if (!crowded && !group) return false;
  const bool had_its_turn = Clock::now() - session.started >= turn_of_a_connection;
  if (!idle && sessions_.size() == 1 && (!had_its_turn || !planner_.untroubled())) return false;
  session.yields = crowded && context_.connections.yield();
  if (!session.yields && !(group && session.seat->yield())) return false;
  session.quit();
  return true;
}

// It has given up its connections and waits for its next turn: its hand goes back to the queue, unless that
// would forget who is suspected of what.
void Lane::release_in_line() {
  if (!(in_line_ || waits_for_group()) || !sessions_.empty() || stopping_) return;
  if (hand_.open() > 0 && planner_.untroubled()) release_all();
}

void Lane::poke() {
  poke_ = true;
  soon();
}

void Lane::clear_clock(TimePoint wished) {
  planner_.clear_clock();
  wished_ = wished;
  group_until_ = {};
  memory_stale_ = true;
  poke();
}

void Lane::take_memory() {
  delivery::HostMemory memory = planner_.memory();
  if (!delivery::worth_writing(written_, memory)) return;
  written_ = memory;
  memory_now_ = std::move(memory);
}

bool Lane::at_rest() const {
  if (stopping_ || turn_asked_ || claiming_ || trouble_ || granted_ || memory_stale_ || memory_now_)
    return false;
  if (!sessions_.empty() || !hand_.empty() || !settling_.empty() || !withdrawals_.empty()) return false;
  if (!suspects_now_.empty() || !forgotten_now_.empty()) return false;
  return in_line_ || waits_for_group() || next_due_ > now() || !planner_.receptive(now());
}

DestinationState Lane::state() const {
  DestinationState state;
  const delivery::Health health = planner_.health(now());
  state.route = route_;
  state.health = health.state;
  state.until = health.until;
  state.connections = static_cast<std::uint32_t>(sessions_.size());
  state.in_hand = static_cast<std::uint32_t>(hand_.open());
  state.suspects = health.parked;
  state.in_line = in_line_;
  if (group_) state.group = group_->name();
  if (waits_for_group() && health.until < group_until_) {
    state.health = "waiting";
    state.until = group_until_;
  }
  state.memory = planner_.memory();
  return state;
}

}  // namespace spoold::server
