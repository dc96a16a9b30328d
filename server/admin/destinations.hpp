// Next hops as an operator sees them: what waits for each (the store), what its lane does (the daemon), what
// is remembered of it (the lane, else the store).
#pragma once
#include <string>

#include "conf/settings.hpp"
#include "server/admin/json.hpp"
#include "server/admin/lanes.hpp"
#include "store/store.hpp"

namespace spoold::server::admin {

/// A glob over a route, its next hop's host, or its URL; empty: every one.
bool destination_matches(const conf::Settings&, const std::string& pattern, const std::string& route);

/// What the daemon says of one route.
Json state_json(const DestinationState&, TimePoint now);

/// A row a route that has mail or that something is remembered of: "destination", "next_hop", "messages",
/// "recipients", "queued", "active", "deferred", "held", "next_attempt", "connections", "in_line", "health"
/// (up, waiting, half-open, unknown), "until", "last_error", "last_error_at", "last_delivery", "suspects",
/// "learned". `totals`: Reads::queue_by destination; `live`: the daemon's rows, empty without one.
Json destination_rows(const store::Store&, const conf::Settings&, const Json& totals, const Json& live,
                      const std::string& pattern);

}  // namespace spoold::server::admin
