// What the brake of a list asks of the spool (protocol/list/brake.hpp): which recipients of a post have failed for good so far.
#pragma once
#include <cstddef>
#include <functional>

#include "store/spool/types.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

/// Nobody has held, released or removed the message as a whole.
bool is_untouched(const Read&, Id);
/// The last reply to each recipient that failed for good: of the first `rows` that have something to tell.
void each_failed(const Read&, Id, std::size_t rows, const std::function<void(const LastReply&)>&);

}  // namespace spoold::store::spool
