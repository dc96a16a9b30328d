#include "protocol/list/leave_token.hpp"

#include <algorithm>

#include "protocol/list/base32.hpp"
#include "protocol/mail/mailto.hpp"
#include "protocol/mail/secret.hpp"

namespace spoold::list {

namespace {

constexpr std::uint8_t version_and_kind = 0x11;  // version 1, kind 1 (0 is verp.cpp's)
constexpr std::size_t tag_begin = 10, octets = 17, max_local = 64;

using Token = std::array<std::uint8_t, octets>;

void sign(Token& token, const Hmac& hmac) {
  std::array<char, tag_begin> data;
  for (std::size_t i = 0; i < tag_begin; ++i) data[i] = static_cast<char>(token[i]);
  const auto digest = hmac({data.data(), data.size()});
  std::copy_n(digest.begin(), octets - tag_begin, token.begin() + tag_begin);
}

}  // namespace

std::string leave_address(const List& list, MemberId member, char delimiter, const Hmac& hmac) {
  if (member == 0) return list.local + "-leave@" + list.domain;
  Token token{version_and_kind};
  for (std::size_t i = 0; i < 4; ++i) token[1 + i] = static_cast<std::uint8_t>(list.id >> (24 - 8 * i));
  for (std::size_t i = 0; i < 5; ++i) token[5 + i] = static_cast<std::uint8_t>(member >> (32 - 8 * i));
  sign(token, hmac);
  std::string text(1, delimiter);
  base32_append(text, token);
  const std::string local = list.local + "-leave" + text;
  return (local.size() <= max_local ? local : "leave" + text) + "@" + list.domain;
}

std::string leave_url(const List& list, MemberId member, char delimiter, const Hmac& hmac) {
  return mail::mailto(leave_address(list, member, delimiter, hmac));
}

std::optional<Leaving> decode_leave(std::string_view detail, const Hmac& hmac) {
  Token token;
  if (!base32_decode(detail, token) || token[0] != version_and_kind) return std::nullopt;
  Token expected = token;
  sign(expected, hmac);
  if (!mail::same_secret<std::uint8_t>(token, expected)) return std::nullopt;
  Leaving leaving;
  for (std::size_t i = 0; i < 4; ++i) leaving.list = leaving.list << 8 | token[1 + i];
  for (std::size_t i = 0; i < 5; ++i) leaving.member = leaving.member << 8 | token[5 + i];
  return leaving;
}

}  // namespace spoold::list
