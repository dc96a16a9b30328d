// Edits of recipients and of whole messages. "Facts beat wishes": what a claim covers is not changed unless
// its lane has withdrawn it; every change raises the recipient's version.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "store/spool/rows.hpp"
#include "store/store.hpp"

namespace spoold::store::spool {

using RouteOf = std::function<std::string(std::string_view domain)>;

struct EditResult {
  std::vector<Edited> edited;       // one for each Edit
  std::vector<std::string> routes;  // with something due now
};
/// not_found: no such message; conflict: it is finished. Both without a change.
Result<EditResult> edit(Write&, Id, const std::vector<Edit>&, const std::string& who, const RouteOf&);

/// conflict: a post with VERP has a sender for each recipient; invalid: not a path.
Result<void> edit_sender(Write&, Id, const std::string& reverse_path, const std::string& who);

struct WholeResult {
  std::vector<std::uint32_t> claimed;  // numbers that a claim covers: their lanes must be asked
  std::vector<std::string> routes;     // with something due now
  bool rebuilding = false;             // rebuild() must be called until it is done
};
/// One transaction whatever the size: hold and remove change the message's own row only; release and retry
/// begin a rebuild of its due entries, at once when it is small, else in slices that a `stage` row remembers.
Result<WholeResult> whole(Write&, Id, Store::Whole, const std::string& who, const RouteOf&);

/// The next slice of a release or retry. True: done (or overtaken by a later hold or removal).
bool rebuild(Write&, Id, const RouteOf&, std::vector<std::string>& routes);
/// Messages whose rebuild was cut by the end of the process.
std::vector<Id> unfinished_rebuilds(const Read&);

}  // namespace spoold::store::spool
