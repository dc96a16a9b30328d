#include "server/admin/destinations.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "conf/load.hpp"
#include "protocol/mail/glob.hpp"
#include "server/admin/await.hpp"
#include "server/admin/filter.hpp"
#include "server/admin/requests.hpp"
#include "server/admin/retry_waiting.hpp"
#include "server/admin/views.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace {

constexpr std::size_t hosts_at_once = 1000;

Json memory_json(const delivery::HostMemory& m) {
  Json learned = Json::object();
  const auto limit = [&](const char* name, const delivery::HostMemory::Fact& fact) {
    if (fact.value > 0) learned[name] = {{"value", fact.value}, {"since", time_json(fact.since)}};
  };
  limit("recipients_per_transaction", m.rcpts);
  limit("recipients_per_connection", m.rcpts_of_connection);
  limit("messages_per_connection", m.messages);
  limit("connection_age_ms", m.age);
  if (m.reject_limit) limit("rejects_per_connection", m.rejects);
  return {{"last_error", m.last_error.empty() ? Json(nullptr) : Json(m.last_error)},
          {"last_error_at", time_json(m.error_at)},
          {"last_delivery", time_json(m.last_commit)},
          {"last_drop", time_json(m.last_drop)},
          {"concurrency", m.connections},
          {"no_overlap_until", time_json(m.overlap_off_until)},
          {"learned", learned}};
}

std::string health_of(const delivery::HostMemory& m, TimePoint now) {
  const bool slow = m.slow.since + Duration(m.slow.value) > now;
  return m.until > now ? "waiting" : m.half_open ? "half-open" : slow ? "slow" : "up";
}

template <class Each>
void for_each_host(const store::Store& store, Each each) {
  std::string after;
  while (true) {
    const auto page = [&] {
      const store::Read read(store);
      return store::spool::hosts(read, after, hosts_at_once);
    }();
    if (page.empty()) return;
    for (const store::HostRow& row : page) each(row);
    after = page.back().route;
  }
}

Json blank_row(const conf::Settings& settings, const std::string& route) {
  const bool by_mx = conf::next_hops_of(settings, route).empty();
  Json row{{"destination", route},
           {"next_hop", by_mx ? Json(nullptr) : Json(conf::route_text(settings, route))}};
  for (const char* count : {"messages", "recipients", "queued", "active", "deferred", "held", "connections",
                            "in_hand", "suspects"})
    row[count] = 0;
  row["in_line"] = false;
  row["group"] = nullptr;
  row["oldest"] = row["until"] = row["next_attempt"] = nullptr;
  row["health"] = "unknown";
  row.update(memory_json({}));
  return row;
}

store::Result<std::vector<DestinationState>> ask_lanes(Lanes& lanes) {
  const auto ask = [&](auto callback) {
    lanes.destinations([callback](std::vector<DestinationState> all) { callback(std::move(all)); });
  };
  return await_result<std::vector<DestinationState>>(ask, for_lanes);
}

}  // namespace

bool destination_matches(const conf::Settings& settings, const std::string& pattern,
                         const std::string& route) {
  if (pattern.empty() || mail::glob(pattern, route)) return true;
  const auto hops = conf::next_hops_of(settings, route);
  return std::any_of(hops.begin(), hops.end(), [&pattern](const conf::NextHop& hop) {
    return mail::glob(pattern, hop.host) || mail::glob(pattern, hop.text);
  });
}

Json state_json(const DestinationState& state, TimePoint now) {
  Json row{{"destination", state.route},
           {"connections", state.connections},
           {"in_hand", state.in_hand},
           {"in_line", state.in_line},
           {"group", state.group.empty() ? Json(nullptr) : Json(state.group)}};
  if (state.memory) row.update(memory_json(*state.memory));
  std::string health = state.health;
  if (health.empty() && state.until > now) health = "waiting";
  if (health.empty()) return row;
  row["health"] = health;
  row["until"] = health == "waiting" ? time_json(state.until) : Json(nullptr);
  return row;
}

Json destination_rows(const store::Store& store, const conf::Settings& settings, const Json& totals,
                      const Json& live, const std::string& pattern) {
  const TimePoint now = store.now();
  std::map<std::string, Json> rows;
  const auto row_of = [&](const std::string& route) -> Json* {
    if (!destination_matches(settings, pattern, route)) return nullptr;
    const auto found = rows.find(route);
    if (found != rows.end()) return &found->second;
    return &rows.emplace(route, blank_row(settings, route)).first->second;
  };
  for (const Json& total : totals)
    if (Json* row = row_of(total.at("destination").get<std::string>())) row->update(total);
  for_each_host(store, [&](const store::HostRow& host) {
    Json* row = row_of(host.route);
    if (!row) return;
    row->update(memory_json(host.memory));
    (*row)["health"] = health_of(host.memory, now);
    if (host.memory.until > now) (*row)["until"] = time_json(host.memory.until);
  });
  for (const Json& one : live)
    if (Json* row = row_of(one.at("destination").get<std::string>())) row->update(one);
  Json out = Json::array();
  for (auto& [route, row] : rows) {
    const store::Read read(store);
    row["suspects"] = store::spool::suspects(read, route).size();
    if (const auto due = store::spool::earliest_due(read, route)) {
      const Json at = time_json(*due);
      const Json& until = row.at("until");
      row["next_attempt"] = until.is_string() && until > at ? until : at;
    }
    out.push_back(std::move(row));
  }
  return out;
}

// ---- requests

Json destinations(const Request& request) {
  const auto states = ask_lanes(request.lanes);
  if (!states) return failure(states.error());
  Json answer = success(request);
  answer["destinations"] = Json::array();
  for (const DestinationState& state : *states)
    answer["destinations"].push_back(state_json(state, request.store.now()));
  return answer;
}

Json wake(const Request& request) {
  const std::string pattern = request.text("host");
  if (pattern.empty()) return failure(Exit::usage, "name a next hop, or a pattern; * means every one");
  std::set<std::string> routes;
  const auto take = [&](const std::string& route) {
    if (destination_matches(request.settings, pattern, route)) routes.insert(route);
  };
  for_each_host(request.store, [&](const store::HostRow& row) { take(row.route); });
  {
    const store::Read read(request.store);
    for (const auto& due : store::spool::due_routes(read)) take(due.route);
  }
  const auto states = ask_lanes(request.lanes);
  if (!states) return failure(states.error());
  for (const DestinationState& state : *states) take(state.route);
  if (routes.empty()) return failure(Exit::nothing_matched, "no next hop is known as " + pattern);

  const std::vector<std::string> named(routes.begin(), routes.end());
  if (!request.dry_run) {
    const auto cleared =
        await_result<void>([&](auto callback) { request.store.clear_clocks(named, std::move(callback)); });
    if (!cleared) return failure(cleared.error());
  }
  // What waits for a time of its own is due now, too.
  RetryWaiting retried(request);
  for (const std::string& route : named)
    if (auto done = retried.on(route); !done) return failure(done.error());
  if (!request.dry_run) request.lanes.wake_hosts(named);
  audit(request, "wake " + pattern + ": " + std::to_string(named.size()) + " next hops");

  Json answer = success(request);
  answer["destinations"] = named;
  answer["messages"] = retried.messages.size();
  answer["recipients"] = retried.recipients;
  return answer;
}

}  // namespace spoold::server::admin
