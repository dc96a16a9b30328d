// What becomes of a lane after an exception, and after a fault of this machine.
//
// An exception may leave any piece of the lane's work in the middle: claims that the planner was not given, a
// session that the lane lists and that will never report. Nobody else would settle these claims before the next
// start, and nobody would return these connections. So the lane ends its sessions, which reports what was on
// the wire, gives all that is left back to the queue, and begins anew with what its host's memory holds.
#include <algorithm>
#include <utility>

#include "server/delivery/lane.hpp"
#include "server/delivery/raise.hpp"
#include "server/log.hpp"

namespace spoold::server {
namespace {

constexpr auto pause_after_exception = std::chrono::seconds(10);

template <class Work>
void in_any_case(Work work) {
  try {
    work();
  } catch (...) {  // the first exception is the one that is reported
  }
}

}  // namespace

void Lane::rescue(const std::exception_ptr& why) {
  const TimePoint at = now(), again = at + pause_after_exception;
  pause_.at_least(again);
  for (const auto& session : std::vector(sessions_)) in_any_case([&] { session->abort(); });
  for (const auto& session : std::vector(sessions_)) in_any_case([&] { forget(*session); });
  in_any_case([&] { collect(); });
  in_any_case([&] {
    const delivery::HostMemory memory = planner_.memory();
    for (const auto& [message, number] : claims_.all_open(false)) release(message, number, again);
    for (const store::Claim& claim : claiming_.coming())
      claims_.give_up(claim, again);  // those in hand have moved there
    planner_ = make_planner(memory);
    planner_.join(place_.group());
  });
  claiming_.abandon();
  soon();
  raise(thread_.io, why, route_);
}

void Lane::threw(OutboundSession& session, std::exception_ptr why) {
  const bool reported =
      std::none_of(sessions_.begin(), sessions_.end(), [&](const auto& s) { return s.get() == &session; });
  if (!reported) return rescue(why);
  pause_.at_least(now() + Pause::shortest);
  soon();
  raise(thread_.io, why, route_);
}

void Lane::pause(const std::string& why) {
  if (pause_.fault(why, now(), Clock::now()))
    log::event(log::Level::error, "lane", {{"relay", route_}, {"reply", why}});
}

void Lane::fault(OutboundSession& session, const std::string& why) {
  pause(why);
  forget(session);
}

}  // namespace spoold::server
