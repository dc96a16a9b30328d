// What is remembered of a next hop (protocol/delivery/memory.hpp), by route: written in the commit of a
// settle, read when its lane is made, and by spoolctl without any lane. Swept when nothing was written for
// host_memory_lasts.
#pragma once
#include <string>
#include <string_view>

#include "store/spool/rows.hpp"

namespace spoold::store::spool {

HostRow unpack_host(std::string_view key, std::string_view value);
void put_host(Write&, std::string_view route, const delivery::HostMemory&);
/// An operator's wish: its clock no longer waits. False: nothing is known of it, or it does not wait.
bool clear_host(Write&, std::string_view route);
/// A slice: deletes rows written before `cutoff`, behind `after` (a route). True: all were looked at.
bool sweep_hosts(Write&, TimePoint cutoff, std::string& after, const Enough&);

}  // namespace spoold::store::spool
