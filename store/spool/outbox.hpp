// Changes of the directory that a commit of the spool brings with it, as rows of `outbox`: a final failure and the member's
// score, a bounce and the score, are one commit each. The spool does not know what is in them. While the store that decides
// about the directory is this one, store/handover.hpp applies them before the commit, and the table is empty between
// commits; what is left in it (nothing, today) would be applied by the next drain. Rows go out in the order they came in.
#pragma once
#include <optional>
#include <string>

#include "store/txn.hpp"

namespace spoold::store::spool {

struct OutboxRow {
  std::uint64_t sequence = 0;
  std::string operation;  // a packed directory::Operation: it has an id, so that it is applied once
};

void put_outbox(Write&, std::string_view operation);
/// Takes the first row out.
std::optional<OutboxRow> take_outbox(Write&);

}  // namespace spoold::store::spool
