#include "protocol/mail/base64.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace spoold::mail {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t no_letter = 64;

constexpr auto value_of = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(no_letter);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  return values;
}();

}  // namespace

std::string base64_encode(std::string_view octets) {
  std::string out;
  out.reserve((octets.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < octets.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t n = 0; n < 3; ++n)
      group = group << 8 | (i + n < octets.size() ? static_cast<unsigned char>(octets[i + n]) : 0u);
    for (std::size_t n = 0; n < 4; ++n)
      out += i + n <= octets.size() ? alphabet[group >> (18 - 6 * n) & 63] : '=';
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view letters) {
  if (letters.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = letters.ends_with("==") ? 2 : letters.ends_with('=') ? 1 : 0;
  letters.remove_suffix(padding);
  std::string out;
  out.reserve(letters.size() / 4 * 3 + 3);
  std::uint32_t group = 0;
  unsigned bits = 0;
  for (const char letter : letters) {
    const std::uint8_t value = value_of[static_cast<unsigned char>(letter)];
    if (value == no_letter) return std::nullopt;
    group = group << 6 | value;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>(group >> bits & 0xff);
  }
  if ((group & ((1u << bits) - 1)) != 0) return std::nullopt;
  return out;
}

}  // namespace spoold::mail
