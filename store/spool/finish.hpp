// The end of a message: the last open recipient is settled, the content goes, the rows stay as history until
// swept.
#pragma once
#include "store/spool/rows.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

/// No open recipient left: moves the message to `finished`, drops head and content (a large one in slices:
/// `stage`); those of a message with a report due stay until that is made. False: there are open ones,
/// nothing was written.
bool finish_if_done(Write&, MessageRow&);
void drop_content(Write&, const MessageRow&);

/// Does a bounded piece of the work that `stage` names: drops what abandoned acceptances and uploads left,
/// and contents of finished messages. `at_start`: also what was still in progress when the store was closed.
/// True: nothing is left.
bool sweep_stage(Write&, bool at_start);

/// Deletes a bounded piece of the history before `cutoff`: events, and messages finished before it. `after`
/// goes on where the last piece stopped. True: nothing is left.
bool sweep_history(Write&, TimePoint cutoff, Id& after);

}  // namespace spoold::store::spool
