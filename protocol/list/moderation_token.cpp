#include "protocol/list/moderation_token.hpp"

#include <algorithm>
#include <array>

#include "protocol/list/base32.hpp"
#include "protocol/mail/secret.hpp"

namespace spoold::list {
namespace {

constexpr std::uint8_t kind = 0x21;
constexpr std::size_t signed_octets = 9, max_local = 64;
using Token = std::array<std::uint8_t, 17>;

Token made(ListId list, std::uint64_t post, const Hmac& hmac) {
  Token token{kind};
  for (std::size_t i = 0; i < 8; ++i) token[1 + i] = static_cast<std::uint8_t>(post >> (56 - 8 * i));
  std::string data = "held post ";
  for (unsigned shift = 24;; shift -= 8) {
    data += static_cast<char>(static_cast<std::uint8_t>(list >> shift));
    if (shift == 0) break;
  }
  for (std::size_t i = 0; i < signed_octets; ++i) data += static_cast<char>(token[i]);
  const auto digest = hmac(data);
  std::copy_n(digest.begin(), token.size() - signed_octets, token.begin() + signed_octets);
  return token;
}

}  // namespace

std::string moderation_token(ListId list, std::uint64_t post, const Hmac& hmac) {
  std::string text;
  base32_append(text, made(list, post, hmac));
  return text;
}

std::string moderation_address(const List& list, const std::string& token, char delimiter) {
  std::string local = list.local + "-confirm" + delimiter + token;
  if (local.size() > max_local) local = std::string("confirm") + delimiter + token;
  return local + "@" + list.domain;
}

std::optional<std::uint64_t> post_of_token(std::string_view token) {
  Token octets{};
  if (!base32_decode(token, octets) || octets[0] != kind) return std::nullopt;
  std::uint64_t post = 0;
  for (std::size_t i = 0; i < 8; ++i) post = post << 8 | octets[1 + i];
  return post;
}

bool proves(std::string_view token, ListId list, std::uint64_t post, const Hmac& hmac) {
  Token octets{};
  if (!base32_decode(token, octets)) return false;
  return mail::same_secret<std::uint8_t>(made(list, post, hmac), octets);
}

}  // namespace spoold::list
