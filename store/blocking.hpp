// Operations on the directory for a thread that waits: never the writer thread, never a network thread.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "store/directory/changes.hpp"

namespace spoold::store {

class Store;

namespace directory {

/// Store::change(), awaited. unavailable also: no answer came within `limit`. Then whether the operation was or will be
/// applied is not known, and submitting the same operation again tells it.
Result<Applied> change(Store&, Operation, std::chrono::milliseconds limit = std::chrono::seconds(60));
/// Adds all members or none, in slices of at most about 20 ms: the rows are written invisible, and one last operation
/// makes them members. Waits as long as it takes.
Result<Imported> import_members(Store&, ListId, std::vector<Member>, const std::string& who);

}  // namespace directory
}  // namespace spoold::store
