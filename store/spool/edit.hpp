// Edits of recipients and of whole messages. "Facts beat wishes": what a claim covers is not changed unless
// its lane has withdrawn it; every change raises the recipient's version.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "store/error.hpp"
#include "store/spool/changes.hpp"
#include "store/spool/rows.hpp"

namespace spoold::store::spool {

using RouteOf = std::function<std::string(std::string_view domain)>;

struct EditResult {
  std::vector<Edited> edited;       // one for each Edit
  std::vector<std::string> routes;  // with something due now
};
/// not_found: no such message; conflict: it is finished. Both without a change.
/// A report on what was bounced is due `report_wait` from now, or when the last of the others has an outcome.
Result<EditResult> edit(Write&, Id, const std::vector<Edit>&, const std::string& who, const RouteOf&,
                        Duration report_wait);

/// conflict: a post with VERP has a sender for each recipient; invalid: not a path.
Result<void> edit_sender(Write&, Id, const std::string& reverse_path, const std::string& who);

struct WholeResult {
  std::vector<std::uint32_t> claimed;  // numbers that a claim covers: their lanes must be asked
  std::vector<std::string> routes;     // with something due now
};
/// One transaction whatever the size: hold and remove change the message's own row only; release and retry
/// begin a rebuild of its due entries: here as far as `enough` allows; a `stage` row remembers the rest.
Result<WholeResult> whole(Write&, Id, Whole, const std::string& who, const RouteOf&, const Enough&);

/// A slice of a release or retry; deletes its row in `stage` when it is done (or overtaken by a later hold or removal).
void rebuild(Write&, Id, const RouteOf&, std::vector<std::string>& routes, const Enough&);

}  // namespace spoold::store::spool
