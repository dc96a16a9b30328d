// What happened, in the order of time: one row a settle group, with what its replies have in common once.
#pragma once
#include "store/spool/rows.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

/// Written under (event.at, event.message, the next free sequence).
void add_history(Write&, const HistoryEvent&);
HistoryEvent unpack_event(std::string_view key, std::string_view value);

}  // namespace spoold::store::spool
