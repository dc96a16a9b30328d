#include "protocol/list/base32.hpp"

#include "protocol/mail/ascii.hpp"

namespace spoold::list {

void base32_append(std::string& out, std::span<const std::uint8_t> octets) {
  constexpr char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
  unsigned bits = 0, value = 0;
  for (std::uint8_t octet : octets) {
    value = (value << 8 | octet) & 0xfff;  // at most 4 bits were left over
    bits += 8;
    for (; bits >= 5; bits -= 5) out += alphabet[value >> (bits - 5) & 31];
  }
  if (bits > 0) out += alphabet[value << (5 - bits) & 31];
}

bool base32_decode(std::string_view text, std::span<std::uint8_t> octets) {
  if (text.size() != (octets.size() * 8 + 4) / 5) return false;
  unsigned bits = 0, value = 0;
  std::size_t at = 0;
  for (char c : text) {
    c = mail::lower(c);
    unsigned digit = 0;
    if (c >= 'a' && c <= 'z')
      digit = static_cast<unsigned>(c - 'a');
    else if (c >= '2' && c <= '7')
      digit = static_cast<unsigned>(c - '2') + 26;
    else
      return false;
    value = (value << 5 | digit) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      octets[at++] = static_cast<std::uint8_t>(value >> bits & 0xff);
    }
  }
  return (value & ((1u << bits) - 1)) == 0;
}

}  // namespace spoold::list
