// What is due elsewhere than it should be: on the route of a next hop that the configuration lost, or at a time that
// only a wrong clock can have given it.
#pragma once
#include <string>
#include <vector>

#include "store/spool/edit.hpp"

namespace spoold::store::spool {

/// A slice: moves entries of `route` behind `after` (a key of `due`; empty: from the start) to the routes that
/// their recipients' domains have now. Attempts and times stay. True: nothing is left to look at.
bool reroute(Write&, const std::string& route, std::string& after, const RouteOf&,
             std::vector<std::string>& routes, const Enough&);

/// Something is due on this route after `latest`.
bool due_behind(const Read&, std::string_view route, TimePoint latest);
/// A slice: what is due after `latest` was made due by a clock that was ahead, and becomes due now. `place`: the key
/// of `due` to go on with; empty: from the start. True: all routes were looked at.
bool recall(Write&, TimePoint latest, std::string& place, const RouteOf&, std::vector<std::string>& routes,
            const Enough&);

}  // namespace spoold::store::spool
