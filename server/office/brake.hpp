// A post that fails for too many of those it was tried for first is held, and the owners are told (protocol/list/brake.hpp). Asked in the
// commit that settles the failures, so a crash neither forgets nor repeats it. What is on its way to next hops goes out: the brake holds
// the rest. Once an operator has released the post, the brake does not act on it again.
#pragma once
#include <optional>

#include "server/office/address_book.hpp"
#include "store/spool/acceptance.hpp"
#include "store/spool/settle.hpp"

namespace spoold::server {

/// store::Options::brake.
std::optional<store::Acceptance> brake_of(const AddressBook&, const store::Read&,
                                          const store::spool::Failures&);

}  // namespace spoold::server
