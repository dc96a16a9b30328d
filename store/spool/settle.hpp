// Outcomes become facts (design section 5, "facts beat wishes").
#pragma once
#include <string>
#include <vector>

#include "store/spool/rows.hpp"
#include "store/store.hpp"

namespace spoold::store::spool {

/// Applies the outcomes of one claim, in full or in part. A success is kept whatever happened to the
/// recipient meanwhile; any other outcome of a recipient that was edited goes to history only.
/// `report_wait`: report.hpp.
Settled settle(Write&, const Settlement&, Duration report_wait);

/// Settlement::hold, for the recipients that no claim covers: a bounded piece of what is due of this message
/// on this route becomes held. True: nothing is left.
bool hold_route(Write&, Id message, std::string_view route, const LastReply& why);

}  // namespace spoold::store::spool
