#include "server/delivery/lane_set.hpp"

#include <malloc.h>

#include <algorithm>
#include <random>

#include "conf/load.hpp"
#include "server/delivery/raise.hpp"
#include "server/log.hpp"

namespace spoold::server {
namespace {

constexpr std::size_t crowd = 100;          // lanes whose memory is worth giving back to the system
constexpr std::size_t most_at_rest = 2000;  // lanes kept only because they remember trouble

}  // namespace

LaneSet::LaneSet(DeliveryContext& context, asio::io_context& io,
                 std::shared_ptr<const conf::Settings> settings, std::size_t wire_budget)
    : context_(context),
      thread_{io, std::move(settings), WireCache(context.store, wire_budget),
              std::make_shared<TlsClient>(nullptr)},
      timer_(io),
      grace_(io) {}

// ---- from asleep to a lane

void LaneSet::tell_due(const std::string& route) {
  {
    const std::lock_guard lock(telling_);
    if (!told_.insert(route).second) return;
    to_look_at_.push_back(route);
    if (to_look_at_.size() > 1) return;  // a call is on its way
  }
  asio::post(thread_.io, [this] {
    std::vector<std::string> routes;
    {
      const std::lock_guard lock(telling_);
      routes.swap(to_look_at_);
      for (const std::string& one : routes) told_.erase(one);
    }
    for (const std::string& one : routes) due(one);
  });
}

void LaneSet::due(const std::string& route) {
  if (stopping_) return;
  if (const auto lane = lanes_.find(route); lane != lanes_.end()) return lane->second->wake();
  if (in_line_.contains(route)) return;
  const auto asleep = asleep_.find(route);
  if (asleep != asleep_.end() &&
      asleep->second.host > now()) {  // it would only find that its host's clock waits
    Asleep how = asleep->second;
    how.at = how.host;
    how.asked = true;
    sleep(route, how);
    const std::lock_guard lock(telling_);
    told_.insert(route);
    return;
  }
  const auto was = take_asleep(route);
  const Woken woken = was ? was->woken : Woken{};
  if (context_.connections.take()) return make(route, woken);
  in_line_[route] = woken;
  join_line(route);
}

void LaneSet::due_at(const std::string& route, TimePoint at) {
  if (at <= now()) return due(route);
  if (const auto lane = lanes_.find(route); lane != lanes_.end())
    return lane->second->wake();  // it looks itself
  if (stopping_ || in_line_.contains(route)) return;
  const auto asleep = asleep_.find(route);
  Asleep how;
  how.at = TimePoint::max();
  if (asleep != asleep_.end()) how = asleep->second;
  how.at = std::min(how.at, at);
  sleep(route, how);
}

void LaneSet::Woken::tell(Lane& lane) const {
  if (wished != TimePoint{}) lane.clear_clock(wished);
  if (called) lane.called();
}

// A connection was taken for it. A lane that cannot be made (its first read of the store fails) gives the
// connection back, and its route is looked at again in a second.
void LaneSet::make(const std::string& route, Woken woken) {
  std::shared_ptr<Lane> lane;
  try {
    lane = std::make_shared<Lane>(context_, thread_, *this, route, std::random_device{}());
    lanes_[route] = lane;
  } catch (...) {
    context_.connections.give();
    Asleep how;
    how.at = now() + std::chrono::seconds(1);
    how.woken = woken;
    sleep(route, how);
    return raise(thread_.io, std::current_exception(), route);
  }
  woken.tell(*lane);
  lane->granted();
}

void LaneSet::join_line(const std::string& route) {
  context_.connections.wait([this, route] { asio::post(thread_.io, [this, route] { granted(route); }); });
}

void LaneSet::granted(const std::string& route) {
  const auto waiting = in_line_.find(route);
  if (stopping_ || waiting == in_line_.end()) return context_.connections.give();
  const Woken woken = waiting->second;
  in_line_.erase(waiting);
  const auto lane = lanes_.find(route);
  if (lane == lanes_.end()) return make(route, woken);
  woken.tell(*lane->second);
  lane->second->granted();
}

// ---- from a lane to asleep

void LaneSet::stand_in_line(const std::string& route) {
  if (in_line_.try_emplace(route).second) join_line(route);
}

void LaneSet::idle(Lane& lane, const Rest& rest) {
  if (!rest.forgettable && lanes_.size() <= most_at_rest) return;
  const auto found = lanes_.find(lane.route());
  if (found == lanes_.end() || found->second.get() != &lane) return;
  asio::post(thread_.io, [this, gone = std::move(found->second)]() mutable {  // it is on the stack below us
    gone.reset();
    if (++gone_ < crowd || !lanes_.empty()) return;
    gone_ = 0;
    ::malloc_trim(0);  // the allocator would keep what many lanes needed for a short time
  });
  const std::string route = found->first;
  lanes_.erase(found);
  if (in_line_.contains(route)) return;
  if (rest.due == TimePoint::max() && rest.host <= now()) return;
  Asleep how;
  how.at = rest.due == TimePoint::max() ? rest.due : std::max(rest.due, rest.host);
  how.host = rest.host;
  how.group = rest.group;
  sleep(route, how);
}

void LaneSet::sleep(const std::string& route, Asleep how) {
  take_asleep(route);
  how.alarm = how.at == TimePoint::max() ? how.host : how.at;  // with nothing due it is then forgotten
  asleep_[route] = how;
  alarms_.emplace(how.alarm, route);
  set_timer();
}

std::optional<LaneSet::Asleep> LaneSet::take_asleep(const std::string& route) {
  const auto found = asleep_.find(route);
  if (found == asleep_.end()) return std::nullopt;
  const Asleep was = found->second;
  asleep_.erase(found);
  alarms_.erase({was.alarm, route});
  if (was.asked) {
    const std::lock_guard lock(telling_);
    told_.erase(route);
  }
  return was;
}

void LaneSet::set_timer() {
  if (alarms_.empty() || stopping_) return;
  const TimePoint at = alarms_.begin()->first;
  if (at == timer_at_) return;
  timer_at_ = at;
  timer_.expires_after(std::clamp<Duration>(at - now(), Duration(1), std::chrono::hours(1)));
  timer_.async_wait([this](std::error_code error) {
    if (error) return;
    timer_at_ = TimePoint::max();
    const TimePoint time = now();
    while (!alarms_.empty() && alarms_.begin()->first <= time) {
      const std::string route = alarms_.begin()->second;
      const auto was = take_asleep(route);
      if (!was || was->at == TimePoint::max()) continue;
      if (was->woken.wished != TimePoint{} || was->woken.called)
        asleep_[route].woken = was->woken;  // due() looks at it
      due(route);
    }
    set_timer();
  });
}

// ---- new settings

void LaneSet::renew(std::shared_ptr<const conf::Settings> settings,
                    std::shared_ptr<const TlsContext> context) {
  if (stopping_) return;
  if (context) thread_.tls = std::make_shared<TlsClient>(std::move(context));
  if (!settings) return;
  thread_.settings = std::move(settings);
  for (const auto& [route, lane] : lanes_)
    lane->stop([this, name = route, old = lane.get()] {
      asio::post(thread_.io, [this, name, old] { retire(name, old); });
    });
}

// Behind the lane's last turn. Where the daemon stops meanwhile, the lane has got a new stop().
void LaneSet::retire(const std::string& route, const Lane* lane) {
  const auto found = lanes_.find(route);
  if (stopping_ || found == lanes_.end() || found->second.get() != lane) return;
  const std::string name = found->first;
  lanes_.erase(found);
  if (conf::is_route(*thread_.settings, name)) return due(name);
  log::event(log::Level::warning, "rerouted", {{"relay", name}});
  context_.store.reroute(name, {});  // on_due wakes the lanes of each slice
}

// ---- all of them

void LaneSet::each(const std::function<void(Lane&)>& act) {
  for (const auto& [route, lane] : lanes_) act(*lane);
}

void LaneSet::retry_now(store::Id message, const std::set<std::string>& routes) {
  each([&](Lane& lane) {
    if (routes.contains(lane.route())) lane.retry_now(message);
  });
  std::vector<std::string> asked;
  for (const std::string& route : routes) {
    const auto asleep = asleep_.find(route);
    if (asleep == asleep_.end()) continue;
    asleep->second.woken.wished = now();
    asleep->second.host = {};
    if (asleep->second.asked) asked.push_back(route);
  }
  for (const std::string& route : asked) due(route);
}

void LaneSet::wake_host(const std::string& route, TimePoint wished) {
  if (const auto lane = lanes_.find(route); lane != lanes_.end()) {
    lane->second->clear_clock(wished);
    return lane->second->wake();
  }
  if (const auto waiting = in_line_.find(route); waiting != in_line_.end()) {
    waiting->second.wished = wished;
    return;
  }
  Asleep& how = asleep_[route];
  how.woken.wished = wished;
  how.host = {};
  due(route);
}

void LaneSet::called(const std::string& route) {
  if (const auto lane = lanes_.find(route); lane != lanes_.end()) return lane->second->called();
  if (const auto waiting = in_line_.find(route); waiting != in_line_.end()) {
    waiting->second.called = true;
    return;
  }
  const auto asleep = asleep_.find(route);
  if (asleep == asleep_.end()) return;
  asleep->second.woken.called = true;
  asleep->second.host = {};
  due(route);
}

void LaneSet::crowded() {
  each([](Lane& lane) { lane.poke(); });
}

void LaneSet::stop(Duration grace, std::function<void()> one_stopped,
                   const std::function<void(std::size_t)>& owed) {
  stopping_ = true;
  timer_.cancel();
  owed(lanes_.size());
  each([&](Lane& lane) { lane.stop(one_stopped); });
  grace_.expires_after(grace);
  grace_.async_wait([this](std::error_code error) {
    if (!error) abort();
  });
}

void LaneSet::abort() {
  each([](Lane& lane) { lane.abort(); });
}

std::vector<DestinationState> LaneSet::states() const {
  std::vector<DestinationState> all;
  for (const auto& [route, lane] : lanes_) all.push_back(lane->state());
  for (const auto& [route, how] : asleep_) {
    DestinationState& one = all.emplace_back();
    one.route = route;
    one.until = how.host;
    one.group = how.group;
  }
  for (const auto& [route, woken] : in_line_) {
    if (lanes_.contains(route)) continue;
    DestinationState& one = all.emplace_back();
    one.route = route;
    one.in_line = true;
  }
  return all;
}

}  // namespace spoold::server
