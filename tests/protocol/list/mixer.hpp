// What tests of addresses with a secret in them share: an HMAC that is none, and a list with an id.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/list/verp.hpp"

namespace spoold::list {

/// Not cryptographic: mixes every octet of the data and a secret into all of the digest, which is all these
/// tests need.
inline Hmac mixer(std::uint64_t secret) {
  return [secret](std::string_view data) {
    std::array<std::uint8_t, 32> digest{};
    std::uint64_t state = secret * 0x9e3779b97f4a7c15ull + 1;
    for (char c : data) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    for (auto& octet : digest) {
      state ^= state >> 29;
      state *= 0xbf58476d1ce4e5b9ull;
      octet = static_cast<std::uint8_t>(state >> 56);
    }
    return digest;
  };
}

inline List test_list(std::string local = "test") {
  List list;
  list.id = 0x00c00007;
  list.local = std::move(local);
  list.domain = "lists.example";
  return list;
}

}  // namespace spoold::list
