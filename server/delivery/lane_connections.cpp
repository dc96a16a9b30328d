// A lane's connections: where they lead, when one is opened, when it gives way to another lane; and when the lane
// itself is at rest.
#include <algorithm>
#include <utility>

#include "server/delivery/lane.hpp"
#include "server/delivery/tls_of_route.hpp"
#include "server/log.hpp"

namespace spoold::server {

void Lane::granted() {
  place_.granted();
  soon();
}

void Lane::called() {
  place_.called();
  planner_.freed();
  poke();
}

void Lane::poke() {
  poke_ = true;
  soon();
}

std::uint32_t Lane::connection_limit() const {
  const conf::Destination* own = way_.destination();
  const int limit = own != nullptr && own->connections ? *own->connections
                                                       : settings_->delivery.connections_per_destination;
  return static_cast<std::uint32_t>(std::max(limit, 1));
}

bool Lane::way_is_known(TimePoint at) {
  switch (way_.look(at)) {
    case Way::State::ready:
      return true;
    case Way::State::asking:
      return false;
    case Way::State::resting:
      // DNS waits, but the host's clock does not: connections are open, or an operator asked. Nothing else would
      // make the lane look again.
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
  poke();
  return false;
}

void Lane::open_connections() {
  look_again_ = false;
  const TimePoint at = now();
  if (!may_begin() || at < pause_.until()) return;
  std::uint32_t wanted = planner_.connections_wanted(static_cast<std::uint32_t>(sessions_.size()), at);
  if (wanted == 0 || !way_is_known(at)) return;
  const auto login = credentials_of(*settings_, route_);
  if (login && !login->fault.empty()) return pause(login->fault);
  const conf::Destination* own = way_.destination();
  for (; wanted > 0 && sessions_.size() < connection_limit(); --wanted) {
    Place::Answer place = place_.take(sessions_.empty(), at);
    if (place.fault) {  // from here on the lane's own clock waits
      planner_.told(*place.fault, at);
      outbox_.look_at_memory();
      soon();
    }
    if (!place.ticket) return return_grant();
    smtp::ClientDialog::Options options;
    options.lmtp = way_.lmtp();
    options.hostname = settings_->hostname;
    options.timeouts = settings_->delivery.timeouts;
    if (own != nullptr && own->pipelining) options.pipelining = *own->pipelining;
    options.credentials = login;
    OutboundSession::Security security{thread_.tls, tls_rules(*settings_, route_, way_.by_mx(), own),
                                       mx_domain(route_, way_.by_mx()), claims_.require_tls()};
    auto session = std::make_shared<OutboundSession>(*this, thread_.io.get_executor(),
                                                     way_.targets(random_(), context_.turn++, at),
                                                     std::move(options), std::move(security));
    session->ticket = std::move(place.ticket);
    sessions_.push_back(session);
    ++context_.stats.sessions_out;
    ++context_.stats.open_out;
    session->start();
  }
}

void Lane::forget(OutboundSession& session) {
  const auto at =
      std::find_if(sessions_.begin(), sessions_.end(), [&](const auto& s) { return s.get() == &session; });
  if (at == sessions_.end()) return;
  context_.stats.bytes_out += session.bytes_out();
  if (session.overlap_refused()) planner_.overlap_refused(now());
  place_.leave(std::move(session.ticket));
  --context_.stats.open_out;
  asio::post(thread_.io, [keep = std::move(*at)] {});  // it may be on the stack below us
  sessions_.erase(at);
  poke();
}

// Claimed recipients take memory: a lane claims only when it has a connection for them.
bool Lane::may_claim() {
  if (waits_for_group()) return false;
  const auto stays = [](const auto& s) { return !s->ticket->yields(); };
  return std::any_of(sessions_.begin(), sessions_.end(), stays) || place_.reserve();
}

// The connection that was reserved for a claim is not needed now: another lane may have it.
void Lane::return_grant() {
  if (!claiming_.busy()) place_.return_grant();
}

// While others wait for a connection: idle ones end, further ones of a lane that has several, and after its turn
// also the only one of a lane without trouble (what is known of trouble would be lost with its hand).
bool Lane::gives_way(OutboundSession& session, bool idle) {
  Place::Ticket& ticket = *session.ticket;
  if (ticket.yields()) return true;
  if (!ticket.wanted()) return false;
  if (!idle && sessions_.size() == 1 && !(ticket.had_its_turn() && planner_.untroubled())) return false;
  if (!ticket.yield()) return false;
  session.quit();
  return true;
}

// The lane has given up its connections and waits for its next turn: its hand goes back to the queue, unless that
// would forget who is suspected of what.
void Lane::release_in_line() {
  if (!sessions_.empty() || stopping_ || claims_.open() == 0) return;
  if ((place_.in_line() || waits_for_group()) && planner_.untroubled()) release_all();
}

bool Lane::at_rest() const {
  if (stopping_ || turn_asked_ || claiming_.busy() || trouble_ || place_.has_grant()) return false;
  if (!sessions_.empty() || !claims_.empty() || !outbox_.empty() || !withdrawals_.empty()) return false;
  return place_.in_line() || waits_for_group() || claiming_.next_due() > now() || !planner_.receptive(now());
}

}  // namespace spoold::server
