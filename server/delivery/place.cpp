#include "server/delivery/place.hpp"

#include <utility>

namespace spoold::server {
namespace {

constexpr auto turn_of_a_connection = std::chrono::seconds(5);  // while others wait for one

}  // namespace

bool Place::Ticket::yield() {
  yields_ = yields_ || all_.yield();
  return yields_ || (seat_ && seat_->yield());
}

bool Place::Ticket::had_its_turn() const {
  return std::chrono::steady_clock::now() - since_ >= turn_of_a_connection;
}

void Place::join(std::shared_ptr<LockedGroup> group, std::uint32_t most) {
  group_ = std::move(group);
  group_most_ = most;
  group_until_ = {};
}

void Place::granted() {
  if (std::exchange(granted_, true)) all_.give();
}

void Place::return_grant() {
  if (std::exchange(granted_, false)) all_.give();
}

bool Place::reserve() {
  if (granted_) return true;
  if (in_line()) return false;
  granted_ = all_.take();
  if (!granted_) line_.stand_in_line(route_);
  return granted_;
}

// The group is asked first: a seat is worth nothing to others, a connection is.
Place::Answer Place::take(bool first, TimePoint now) {
  std::unique_ptr<Seat> seat;
  if (group_) {
    if (now < group_until_) return {};
    const bool modest = !first || std::exchange(gave_way_, false);
    const auto answer = group_->with([&](delivery::Group& g) {
      if (wished_ != TimePoint{}) g.clear(std::exchange(wished_, {}));
      return g.take(route_, group_most_, !first, modest, now);
    });
    if (!answer.granted) {
      // The lane's own clock takes over from the group's when it has no connection that proves the contrary.
      if (answer.fault && first) return {nullptr, *answer.fault};
      group_until_ = answer.until;
      return {};
    }
    seat = std::make_unique<Seat>(group_);
  }
  if (!std::exchange(granted_, false) && !all_.take()) {
    if (first) line_.stand_in_line(route_);
    return {};
  }
  auto ticket = std::make_unique<Ticket>(all_, std::move(seat));
  return {std::move(ticket), {}};
}

void Place::leave(std::unique_ptr<Ticket> ticket) {
  gave_way_ = gave_way_ || (ticket && ticket->yields_in_group());
  ticket.reset();
  group_until_ = {};
}

}  // namespace spoold::server
