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

/// Deletes rows of a message's recipients and its head, at most `budget`, which it takes them off; true: none is
/// left.
bool drop_message(Write&, Id, std::uint32_t& budget);

/// A slice of deleting what history keeps no longer: events before `cutoff`, and messages finished before it
/// (`after`: where the next slice goes on). True: nothing is left.
bool sweep_history(Write&, TimePoint cutoff, const Enough&);
bool sweep_finished(Write&, TimePoint cutoff, Id& after, const Enough&);

}  // namespace spoold::store::spool
