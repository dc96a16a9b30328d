// From due to claimed: the only way onto the wire, committed before the first content octet goes out.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "store/spool/due.hpp"
#include "store/spool/numbers.hpp"

namespace spoold::store::spool {

inline constexpr std::uint32_t claim_size = 500;  // recipients of one claim at most

/// Where the next claim() of a route begins, and how far this round goes: fairness between messages, and no
/// message waits longer than a round, however fast new ones come. Lost at a restart, which harms nothing.
struct ClaimPlace {
  std::string from;  // key of `due`
  TimePoint until{};
};
using ClaimPlaces = std::map<std::string, ClaimPlace, std::less<>>;

std::vector<Claim> claim(Write&, ClaimPlaces&, const std::string& route, TimePoint now, std::uint32_t limit);

/// At start: every outstanding claim becomes due again, its unsettled recipients are possible duplicates; at
/// most `claims` of them. Returns how many recipients, and whether none is left.
struct Reclaimed {
  std::uint64_t recipients = 0;
  bool all = false;
};
Reclaimed reclaim(Write&, std::size_t claims);

}  // namespace spoold::store::spool
