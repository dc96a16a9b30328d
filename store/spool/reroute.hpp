// When the configuration loses a next hop, what was due on its route must find another way.
#pragma once
#include <string>
#include <vector>

#include "store/spool/edit.hpp"

namespace spoold::store::spool {

/// Moves a bounded piece of the entries of `route` behind `after` (a key of `due`; empty: from the start) to
/// the routes that their recipients' domains have now. Attempts and times stay. True: nothing is left to look
/// at.
bool reroute(Write&, const std::string& route, std::string& after, const RouteOf&,
             std::vector<std::string>& routes);

}  // namespace spoold::store::spool
