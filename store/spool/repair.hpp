// Mends numbers that do not add up, from what they count: `spoolctl check --repair`. What a message's recipients
// are is never changed. Within one transaction of the writer; a message of a million recipients holds it for about
// a second.
#pragma once
#include <string>

#include "store/error.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

/// The counts of a live message and what its claims cover; a message without an open recipient becomes finished.
/// What was changed, in words; empty: it added up, or is gone.
std::string repair_message(Write&, Id);
/// The references of a content; one that no message uses is dropped.
std::string repair_content(Write&, Id);

}  // namespace spoold::store::spool
