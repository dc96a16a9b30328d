#include "protocol/list/sha1.hpp"

#include <bit>
#include <string>

namespace spoold::list {
namespace {

using Words = std::array<std::uint32_t, 5>;

void block(Words& state, std::string_view octets) {
  std::array<std::uint32_t, 80> w{};
  for (std::size_t i = 0; i < 16; ++i)
    for (std::size_t k = 0; k < 4; ++k) w[i] = w[i] << 8 | static_cast<unsigned char>(octets[4 * i + k]);
  for (std::size_t i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  auto [a, b, c, d, e] = state;
  for (std::size_t i = 0; i < 80; ++i) {
    const std::uint32_t f = i < 20   ? ((b & c) | (~b & d))
                            : i < 40 ? (b ^ c ^ d)
                            : i < 60 ? ((b & c) | (b & d) | (c & d))
                                     : (b ^ c ^ d);
    constexpr std::array<std::uint32_t, 4> k = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    const std::uint32_t next = std::rotl(a, 5) + f + e + k[i / 20] + w[i];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
}

}  // namespace

std::array<std::uint8_t, 20> sha1(std::string_view octets) {
  Words state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  std::string_view rest = octets;
  for (; rest.size() >= 64; rest.remove_prefix(64)) block(state, rest.substr(0, 64));
  std::string end(rest);
  end += '\x80';
  end.append((120 - end.size()) % 64, '\0');
  const std::uint64_t bits = std::uint64_t{octets.size()} * 8;
  for (int shift = 56; shift >= 0; shift -= 8) end += static_cast<char>(bits >> shift & 0xff);
  for (std::string_view last = end; !last.empty(); last.remove_prefix(64)) block(state, last.substr(0, 64));
  std::array<std::uint8_t, 20> out{};
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<std::uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)) & 0xff);
  return out;
}

}  // namespace spoold::list
