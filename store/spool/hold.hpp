// A message whose content seems to end connections: what waits of it on a route becomes held, recipient by
// recipient, as work in slices: the decision is a row of `stage`, written in the commit of the settle that made it.
#pragma once
#include <string>
#include <string_view>

#include "store/spool/rows.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

/// The decision. What a claim covers is not held by it: its settle does that (Settlement::hold).
void leave_hold(Write&, const MessageRow&, std::string_view route, const LastReply& why);

/// A slice of it, named by its key in `stage`; deletes that row when nothing is left. What an operator did to the
/// message as a whole since then ends it: a release is not held again.
void hold_some(Write&, const std::string& key, const Enough&);

}  // namespace spoold::store::spool
