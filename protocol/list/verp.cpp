#include "protocol/list/verp.hpp"

#include <algorithm>

#include "protocol/list/base32.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/secret.hpp"

namespace spoold::list {

namespace {

constexpr std::uint8_t version_and_kind = 0x10;  // version 1, kind 0: a post
constexpr std::size_t tag_begin = 10, octets = 17, characters = 28;
constexpr char signed_kind = 0x12;  // 0x11 is leave_token.cpp's
constexpr std::size_t tag_octets = 5, tag_characters = 8;
constexpr std::size_t max_local = 64, max_mailbox = 254;

using Token = std::array<std::uint8_t, octets>;

/// The tag of a token whose first ten octets are written.
void sign(Token& token, std::uint32_t epoch, const Hmac& hmac) {
  std::array<char, tag_begin + 4> data;
  for (std::size_t i = 0; i < tag_begin; ++i) data[i] = static_cast<char>(token[i]);
  for (std::size_t i = 0; i < 4; ++i) data[tag_begin + i] = static_cast<char>(epoch >> (24 - 8 * i) & 0xff);
  const auto digest = hmac({data.data(), data.size()});
  std::copy_n(digest.begin(), octets - tag_begin, token.begin() + tag_begin);
}

bool same_tag(const Token& a, const Token& b) {
  return mail::same_secret<std::uint8_t>(std::span(a).subspan(tag_begin), std::span(b).subspan(tag_begin));
}

/// "b=" and 28 characters of base32: what append() writes for opaque and must not write for classic.
std::optional<Token> opaque_token(std::string_view detail) {
  if (detail.size() != 2 + characters || mail::lower(detail[0]) != 'b' || detail[1] != '=') return {};
  Token token;
  if (!base32_decode(detail.substr(2), token)) return {};
  return token;
}

using Tag = std::array<std::uint8_t, tag_octets>;

/// `address`: in any case.
Tag tag_of(ListId list, std::string_view address, std::uint32_t epoch, const Hmac& hmac) {
  std::string data(1, signed_kind);
  for (int shift = 24; shift >= 0; shift -= 8) data += static_cast<char>(list >> shift & 0xff);
  data += mail::lower(address);
  for (int shift = 24; shift >= 0; shift -= 8) data += static_cast<char>(epoch >> shift & 0xff);
  const auto digest = hmac(data);
  Tag tag;
  std::copy_n(digest.begin(), tag_octets, tag.begin());
  return tag;
}

/// "anne=north.example=TAG": what append() writes for signed and must not write for classic.
std::optional<Tag> signed_tag(std::string_view detail) {
  const std::size_t at = detail.rfind('=');
  if (at == std::string_view::npos || at == 0 || detail.find('=') == at) return {};
  Tag tag;
  if (!base32_decode(detail.substr(at + 1), tag)) return {};
  return tag;
}

bool same(const Tag& a, const Tag& b) {
  return mail::same_secret<std::uint8_t>(a, b);
}

/// "anne=north.example" as an address.
std::optional<Mailbox> unfolded_address(std::string_view detail) {
  const std::size_t at = detail.rfind('=');
  if (at == std::string_view::npos) return {};
  std::string address(detail);
  address[at] = '@';
  auto mailbox = Mailbox::parse(address);
  if (!mailbox) return {};
  return std::move(*mailbox);
}

}  // namespace

bool has_tag(std::string_view detail) {
  return opaque_token(detail) || signed_tag(detail);
}

std::uint32_t verp_epoch(TimePoint time) {
  return static_cast<std::uint32_t>(std::chrono::floor<std::chrono::days>(time).time_since_epoch().count() /
                                    28);
}

VerpEncoder::VerpEncoder(const List& list, VerpFormat format, char delimiter, std::uint32_t epoch, Hmac hmac)
    : list_(list.id), format_(format), epoch_(epoch), hmac_(std::move(hmac)), suffix_("@" + list.domain) {
  prefix_ = list.local + "-bounces" + delimiter;
  opaque_prefix_ = prefix_ + "b=";
  if (opaque_prefix_.size() + characters > max_local)
    opaque_prefix_ = std::string("bounces") + delimiter + "b=";
}

void VerpEncoder::append(std::string& out, std::string_view address, MemberId member) const {
  if (format_ != VerpFormat::opaque && append_classic(out, address)) return;
  append_opaque(out, member);
}

bool VerpEncoder::append_classic(std::string& out, std::string_view address) const {
  const std::size_t at = address.rfind('@');
  if (at == std::string_view::npos || at + 1 == address.size()) return false;
  if (address.front() == '"' || address[at + 1] == '[') return false;  // the result would need quotes
  const bool with_tag = format_ == VerpFormat::signed_;
  const std::size_t local = prefix_.size() + address.size() + (with_tag ? 1 + tag_characters : 0);
  if (local > max_local || local + suffix_.size() > max_mailbox) return false;
  if (std::any_of(address.begin(), address.end(),
                  [](char c) { return static_cast<unsigned char>(c) >= 0x80; }))
    return false;
  // b@<28 letters of base32> would be read back as opaque
  if (at == 1 && address.size() == 2 + characters && mail::lower(address[0]) == 'b') return false;
  // a=b@<8 letters of base32> would be read back as signed
  Tag shape;
  if (!with_tag && address.substr(0, at).find('=') != std::string_view::npos &&
      base32_decode(address.substr(at + 1), shape))
    return false;
  out += prefix_;
  out += address.substr(0, at);
  out += '=';
  out += address.substr(at + 1);
  if (with_tag) {
    out += '=';
    base32_append(out, tag_of(list_, address, epoch_, hmac_));
  }
  out += suffix_;
  return true;
}

void VerpEncoder::append_opaque(std::string& out, MemberId member) const {
  Token token{version_and_kind};
  for (std::size_t i = 0; i < 4; ++i) token[1 + i] = static_cast<std::uint8_t>(list_ >> (24 - 8 * i));
  for (std::size_t i = 0; i < 5; ++i) token[5 + i] = static_cast<std::uint8_t>(member >> (32 - 8 * i));
  sign(token, epoch_, hmac_);
  out += opaque_prefix_;
  base32_append(out, token);
  out += suffix_;
}

std::string bounces_address(const List& list) {
  return list.local + "-bounces@" + list.domain;
}

std::string owner_address(const List& list) {
  return list.local + "-owner@" + list.domain;
}

std::optional<DecodedVerp> decode_verp(std::string_view detail, std::uint32_t epoch, const Hmac& hmac,
                                       ListId list) {
  DecodedVerp decoded{};
  if (auto token = opaque_token(detail)) {
    decoded.kind = DecodedVerp::Kind::forged;
    if ((*token)[0] != version_and_kind) return decoded;
    for (std::uint32_t back = 0; back < 3 && back <= epoch; ++back) {
      Token expected = *token;
      sign(expected, epoch - back, hmac);
      if (!same_tag(expected, *token)) continue;
      decoded.kind = DecodedVerp::Kind::opaque;
      for (std::size_t i = 0; i < 4; ++i) decoded.list = decoded.list << 8 | (*token)[1 + i];
      for (std::size_t i = 0; i < 5; ++i) decoded.member = decoded.member << 8 | (*token)[5 + i];
      break;
    }
    return decoded;
  }
  if (const auto tag = signed_tag(detail)) {
    decoded.kind = DecodedVerp::Kind::forged;
    const auto mailbox = unfolded_address(detail.substr(0, detail.rfind('=')));
    if (!mailbox || list == 0) return decoded;
    for (std::uint32_t back = 0; back < 3 && back <= epoch; ++back) {
      if (!same(tag_of(list, mailbox->key(), epoch - back, hmac), *tag)) continue;
      decoded.kind = DecodedVerp::Kind::signed_;
      decoded.list = list;
      decoded.address = mailbox->key();
      break;
    }
    return decoded;
  }
  const auto mailbox = unfolded_address(detail);
  if (!mailbox) return {};
  decoded.kind = DecodedVerp::Kind::classic;
  decoded.address = mailbox->key();
  return decoded;
}

}  // namespace spoold::list
