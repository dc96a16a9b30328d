// The spike guards of lists (protocol/bounce/guard.hpp): a row for each list, domain and cause that failed lately. They are changed by
// the operation ScoreMember, in its commit. See also: README.md (table `guard`).
#pragma once
#include <string_view>

#include "protocol/bounce/guard.hpp"
#include "store/directory/directory.hpp"

namespace spoold::store::directory {

/// An empty one where nothing is remembered.
bounce::Guard guard_of(const Read&, ListId, std::string_view domain, std::string_view cause);
/// The members of a list whose addresses are of this domain (in lower case).
std::uint32_t members_at(const Read&, ListId, std::string_view domain);

// The steps of which apply() is made.
/// Forgets a neighbour that is over, too: so rows do not gather.
void put_guard(Write&, ListId, std::string_view domain, std::string_view cause, const bounce::Guard&,
               TimePoint now);
void forget_guards(Write&, ListId);  // of a list that is removed

}  // namespace spoold::store::directory
