// Work that outlives its transaction. A row of `stage` names it, with the place where it goes on: so a stop, a
// crash or a full disk only delays it. Who writes such a row calls leave_work(); the store's slices then come and
// do it (store/slices.hpp).
#pragma once
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "store/spool/edit.hpp"
#include "store/spool/rows.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

/// Writes the row, and makes the writer look for work after the commit.
void leave_work(Write&, std::string_view key, std::string_view value);

struct Backlog {
  /// Uploads and acceptances with an id below were cut off by the end of an earlier process; those from here on
  /// are in progress.
  Id first_new = 0;
  /// What is due later than so long from now was made due by a clock that was ahead: it is due now.
  Duration longest_wait{};
  std::atomic<bool> recall{true};        // to be looked for from the start
  std::optional<std::string> recalling;  // being looked for: where the next slice goes on
  std::optional<std::string> recalled;   // the same after the slice that runs
  /// Of the last slice: the row of an operator's work that was served, so that the next one gets the next slice.
  std::string served;
  std::vector<std::string> routes;  // on which something became due
};
/// A slice of the work that is left: first what operators and lanes wait for (releases, holds), in turn; then what
/// is only to be dropped. True: nothing is left.
bool do_work(Write&, Backlog&, const RouteOf&, const Enough&);

}  // namespace spoold::store::spool
