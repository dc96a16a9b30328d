// The one place where a change of the directory becomes rows, here or in a store that follows this one.
//
// apply() guarantees: an operation that has an id is applied once; submitted again it answers what it answered then
// (table `applied`). Its change is logged with all ids and times filled in (table `change`), in the same transaction.
// After an error the transaction must be aborted: the writer does that.
// follow() applies what another store logged: afterwards the rows of both directories are equal, and so are their logs.
// The log is kept from its low-water mark on; a follower that is behind it begins anew with a copy of the store.
// See also: changes.hpp (the values), log.cpp (reading and trimming the log).
#pragma once
#include "store/directory/changes.hpp"
#include "store/txn.hpp"

namespace spoold::store::directory {

Result<Applied> apply(Write&, const Operation&);
/// What an operation did that was applied before, and is still in the log.
std::optional<Applied> applied(const Read&, std::string_view operation);

/// A change that was applied before is passed over. conflict: a change is missing before this one, or the directories
/// differ already; the transaction must be aborted then.
Result<void> follow(Write&, const LoggedChange&);

/// Adds a row to `change` (a sequence of 0: the next one, by this node), and with an operation id one to `applied`.
void log_change(Write&, LoggedChange, const Applied& answer = {});

std::uint64_t last_change(const Read&);  // its sequence; 0: there is none
std::uint64_t low_water(const Read&);    // the sequence of the first change that is kept, or will be made
/// Up to `limit` changes behind the sequence `after`, about 1 MiB of them at most. conflict: some were trimmed.
Result<std::vector<LoggedChange>> changes(const Read&, std::uint64_t after, std::size_t limit);

/// Deletes a slice of the changes that happened before `cutoff`, and of those before the newest 100,000, with the answers
/// of their operations. The last change stays: the next number follows from it. True: nothing is left to delete.
bool trim_changes(Write&, TimePoint cutoff, const Enough& enough);

}  // namespace spoold::store::directory
