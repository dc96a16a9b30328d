// Where a lane's connections go, before any is opened; and what becomes of its recipients when there is no
// way.
#include "server/delivery/lane.hpp"
#include "server/log.hpp"

namespace spoold::server {

bool Lane::way_is_known(TimePoint at) {
  switch (way_.look(at)) {
    case Way::State::ready:
      return true;
    case Way::State::asking:
      return false;
    case Way::State::resting:  // but the host's clock does not wait: connections are open, or an operator
                               // asked
      look_again_ = true;
      return false;
    case Way::State::unreachable:
      break;
  }
  LastReply why = way_.why();
  why.at = at;
  log::event(log::Level::warning, "unreachable",
             {{"relay", route_}, {"stage", label(why.stage)}, {"reply", why.reply.oneline()}});
  if (way_.final())
    planner_.unreachable_for_good(why, at);
  else
    planner_.connect_failed(Stage::dns, why, at);
  poke_ = true;
  soon();
  return false;
}

}  // namespace spoold::server
