// Suspicion of isolation.md section 3.5: written in the commit of the settle that tells of the drop. By
// (route, address), without regard to case.
#pragma once
#include "store/spool/rows.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

void put_suspect(Write&, const Suspect&);
void del_suspect(Write&, std::string_view route, std::string_view address);

}  // namespace spoold::store::spool
