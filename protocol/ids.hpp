// Names of lists and members, as the whole program passes them. Never reused; the node that gave it out is in
// the top 10 bits.
#pragma once
#include <cstdint>

namespace spoold::list {

using ListId = std::uint32_t;
using PersonId = std::uint64_t;  // of a user with several addresses; 40 bits like a member's
using MemberId = std::uint64_t;  // 40 bits: fits the 5 octets of the opaque VERP form

}  // namespace spoold::list
