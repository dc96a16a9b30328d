// Comparing what somebody else must not guess.
#pragma once
#include <algorithm>
#include <cstddef>
#include <span>

namespace spoold::mail {

/// Takes as long wherever the difference is: nobody learns from that how far a guess was right.
template <class Octet>
bool same_secret(std::span<const Octet> a, std::span<const Octet> b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace spoold::mail
