// A large message while it arrives: its octets go into `content` in slices, named in `stage` before they are
// written, until an acceptance takes the content over (spool/accept.hpp) or the upload is abandoned.
#pragma once
#include <string_view>

#include "store/error.hpp"
#include "store/txn.hpp"

namespace spoold::store {

Id begin_upload(Write&);
/// not_found: no such upload.
Result<void> append_upload(Write&, Id, std::string_view bytes);
/// Leaves its chunks to the backlog (spool/work.hpp).
Result<void> abandon_upload(Write&, Id);

}  // namespace spoold::store
