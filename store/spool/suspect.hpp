// Suspicion of protocol/delivery/isolation.md section 3: written in the commit of the settle that tells of the drop. By
// (route, address), without regard to case.
#pragma once
#include "store/spool/rows.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

Suspect unpack_suspect(std::string_view key, std::string_view value);
void put_suspect(Write&, const Suspect&);
void del_suspect(Write&, std::string_view route, std::string_view address);

/// A slice: deletes rows of those that were last dropped, and were last to be tried, before `cutoff`, behind `after`
/// (a key). True: all were looked at.
bool sweep_suspects(Write&, TimePoint cutoff, std::string& after, const Enough&);

}  // namespace spoold::store::spool
