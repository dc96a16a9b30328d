#include "protocol/smtp/dsn_request.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::smtp {
namespace {

using mail::same;

constexpr std::size_t longest_envid = 100, longest_orcpt = 500;  // RFC 3461 5.4
constexpr std::string_view hex = "0123456789ABCDEF";

constexpr std::array<std::pair<std::string_view, std::uint8_t>, 4> notify_words{{{"NEVER", notify_never},
                                                                                 {"SUCCESS", notify_success},
                                                                                 {"FAILURE", notify_failure},
                                                                                 {"DELAY", notify_delay}}};

Reply refusal(std::string text) {
  return Reply{501, {5, 5, 4}, std::move(text)};
}

bool plain(char c) {  // xchar
  return c > ' ' && c <= '~' && c != '+' && c != '=';
}

// The octet that a "+XY" at the front stands for, when it is printable ASCII.
std::optional<char> hexchar(std::string_view text) {
  if (text.size() < 3 || text[0] != '+') return std::nullopt;
  const auto high = hex.find(text[1]), low = hex.find(text[2]);
  if (high == hex.npos || low == hex.npos) return std::nullopt;
  const auto octet = high * 16 + low;
  if (octet < ' ' || octet > '~') return std::nullopt;
  return static_cast<char>(octet);
}

bool is_xtext(std::string_view text) {
  while (!text.empty()) {
    if (!plain(text.front()) && !hexchar(text)) return false;
    text.remove_prefix(text.front() == '+' ? 3 : 1);
  }
  return true;
}

void append_xtext(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (plain(c)) {
      out += c;
      continue;
    }
    const auto u = static_cast<unsigned char>(c);
    out += '+';
    out += hex[u >> 4];
    out += hex[u & 15];
  }
}

// EmbeddedUnicodeChar of RFC 6533 3: \x{F6}
void append_code_point(std::string& out, char32_t point) {
  out += "\\x{";
  int shift = 20;
  while (shift > 4 && (point >> shift) == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) out += hex[(point >> shift) & 15];
  out += '}';
}

/// The address of a type utf-8 in ASCII; nothing: it is no utf-8-addr-unitext.
std::optional<std::string> ascii_unitext(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    char32_t point = 0;
    const std::size_t length = mail::decode_utf8(text, point);
    if (length == 0 || (point >= 0x80 && point < 0xa0)) return std::nullopt;
    if (point >= 0x80)
      append_code_point(out, point);
    else if (const char c = static_cast<char>(point); plain(c))
      out += c;
    else
      return std::nullopt;
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace

std::uint8_t without_success(std::uint8_t notify) {
  if ((notify & notify_success) == 0) return notify;
  const auto rest = static_cast<std::uint8_t>(notify & ~notify_success);
  return rest == 0 ? std::uint8_t{notify_never} : rest;
}

std::optional<Reply> take_ret(DsnOfMessage& dsn, std::string_view value) {
  if (dsn.ret != Ret::absent) return refusal("RET given twice");
  if (same(value, "FULL"))
    dsn.ret = Ret::full;
  else if (same(value, "HDRS"))
    dsn.ret = Ret::headers;
  else
    return refusal("RET must be FULL or HDRS");
  return std::nullopt;
}

std::optional<Reply> take_envid(DsnOfMessage& dsn, std::string_view value) {
  if (!dsn.envid.empty()) return refusal("ENVID given twice");
  if (value.empty() || value.size() > longest_envid || !is_xtext(value))
    return refusal("ENVID must be 1 to 100 characters of xtext");
  dsn.envid = value;
  return std::nullopt;
}

std::optional<Reply> take_notify(DsnOfRecipient& dsn, std::string_view value) {
  if (dsn.notify != 0) return refusal("NOTIFY given twice");
  const char* const usage = "NOTIFY must be NEVER, or some of SUCCESS,FAILURE,DELAY";
  std::uint8_t notify = 0;
  for (bool more = true; more;) {
    const auto comma = value.find(',');
    const std::string_view word = value.substr(0, comma);
    more = comma != value.npos;
    if (more) value.remove_prefix(comma + 1);
    const auto known = std::find_if(notify_words.begin(), notify_words.end(),
                                    [&](const auto& entry) { return same(entry.first, word); });
    if (known == notify_words.end()) return refusal(usage);
    notify |= known->second;
  }
  if ((notify & notify_never) != 0 && notify != notify_never) return refusal(usage);
  dsn.notify = notify;
  return std::nullopt;
}

std::optional<Reply> take_orcpt(DsnOfRecipient& dsn, std::string_view value, bool utf8) {
  if (!dsn.orcpt.empty()) return refusal("ORCPT given twice");
  std::string in_ascii;
  if (utf8 && mail::starts_with(value, "utf-8;") && !mail::is_ascii(value))
    if (auto address = ascii_unitext(value.substr(6))) value = in_ascii = "utf-8;" + *address;
  const auto semicolon = value.find(';');
  const std::string_view type = value.substr(0, semicolon);
  if (semicolon == value.npos || type.empty() || !std::all_of(type.begin(), type.end(), mail::is_atext) ||
      semicolon + 1 == value.size() || value.size() > longest_orcpt || !is_xtext(value.substr(semicolon + 1)))
    return refusal("ORCPT must be an address type, a semicolon and xtext, 500 characters at most");
  dsn.orcpt = value;
  return std::nullopt;
}

void append_parameters(std::string& out, const DsnOfMessage& dsn) {
  if (dsn.ret != Ret::absent) out += dsn.ret == Ret::full ? " RET=FULL" : " RET=HDRS";
  if (!dsn.envid.empty()) out.append(" ENVID=").append(dsn.envid);
}

void append_parameters(std::string& out, const DsnOfRecipient& dsn) {
  const char* before = " NOTIFY=";
  for (const auto& [word, bit] : notify_words) {
    if ((dsn.notify & bit) == 0) continue;
    out.append(before).append(word);
    before = ",";
  }
  if (!dsn.orcpt.empty()) out.append(" ORCPT=").append(dsn.orcpt);
}

void append_orcpt(std::string& out, std::string_view address) {
  const auto high = [](char c) { return static_cast<unsigned char>(c) > 127; };
  if (std::none_of(address.begin(), address.end(), high)) {
    out += "rfc822;";
    return append_xtext(out, address);
  }
  out += "utf-8;";
  while (!address.empty()) {
    char32_t point = 0;
    const std::size_t length = mail::decode_utf8(address, point);
    if (length == 0) {  // not UTF-8: an octet that no address of ours has
      point = U'\ufffd';
    }
    if (point < 128 && plain(static_cast<char>(point)) && point != '\\')
      out += static_cast<char>(point);
    else
      append_code_point(out, point);
    address.remove_prefix(std::max<std::size_t>(length, 1));
  }
}

void append_member_parameters(std::string& out, std::string_view address) {
  out += " NOTIFY=FAILURE";
  const std::size_t before = out.size();
  out += " ORCPT=";
  const std::size_t value = out.size();
  append_orcpt(out, address);
  if (out.size() - value > longest_orcpt) out.resize(before);
}

std::string decode_xtext(std::string_view xtext) {
  std::string out;
  while (!xtext.empty()) {
    const auto octet = hexchar(xtext);
    out += octet ? *octet : xtext.front();
    xtext.remove_prefix(octet ? 3 : 1);
  }
  return out;
}

}  // namespace spoold::smtp
