// Outcomes become facts: "facts beat wishes".
#pragma once
#include <string>
#include <vector>

#include "store/spool/changes.hpp"
#include "store/spool/rows.hpp"

namespace spoold::store::spool {

/// Applies the outcomes of one claim, in full or in part. A success is kept whatever happened to the
/// recipient meanwhile; any other outcome of a recipient that was edited goes to history only.
/// `report_wait`: report.hpp.
Settled settle(Write&, const Settlement&, Duration report_wait);

}  // namespace spoold::store::spool
