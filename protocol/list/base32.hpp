// Base32 (RFC 4648 section 6) without padding, written in lower case and read in either: mail gateways change
// case.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace spoold::list {

void base32_append(std::string& out, std::span<const std::uint8_t> octets);
/// False: another length than `octets` needs, a character of another alphabet, or bits that belong to nothing
/// set.
bool base32_decode(std::string_view text, std::span<std::uint8_t> octets);

}  // namespace spoold::list
