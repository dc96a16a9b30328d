#include "protocol/mime/ascii_field.hpp"

#include <algorithm>
#include <array>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::mime {
namespace {

using mail::is_ascii;
using mail::is_space;

constexpr char hex[] = "0123456789ABCDEF";
constexpr std::size_t max_encoded = 75;  // RFC 2047 2

// RFC 1428: of octets whose character set nobody has named.
const char* charset_of(std::string_view text) {
  return mail::is_utf8(text) ? "utf-8" : "unknown-8bit";
}

std::string octet(char c, char sign) {
  const auto value = static_cast<unsigned char>(c);
  return {sign, hex[value >> 4], hex[value & 15]};
}

/// As encoded words, folded; of the characters that are allowed everywhere (RFC 2047 5 (3)).
std::string encoded(std::string_view text) {
  const std::string begin = std::string("=?") + charset_of(text) + "?q?";
  const bool utf8 = mail::is_utf8(text);
  std::string out = begin;
  std::size_t length = begin.size();
  while (!text.empty()) {
    std::size_t octets = 1;  // a character is never split between two encoded words
    while (utf8 && octets < text.size() && (static_cast<unsigned char>(text[octets]) & 0xc0) == 0x80)
      ++octets;
    std::string piece;
    for (const char c : text.substr(0, octets))
      piece += mail::is_alpha(c) || mail::is_digit(c) ? std::string(1, c) : c == ' ' ? "_" : octet(c, '=');
    if (length + piece.size() + 2 > max_encoded) {
      out += "?=\r\n " + begin;
      length = begin.size();
    }
    out += piece;
    length += piece.size();
    text.remove_prefix(octets);
  }
  return out += "?=";
}

/// From the first word that is not ASCII to the last one; what is before and behind it stays as it is.
std::string encoded_words(std::string_view text) {
  const auto high = [](char c) { return static_cast<unsigned char>(c) >= 0x80; };
  auto first = static_cast<std::size_t>(std::find_if(text.begin(), text.end(), high) - text.begin());
  auto last =
      text.size() - static_cast<std::size_t>(std::find_if(text.rbegin(), text.rend(), high) - text.rbegin());
  if (first >= last) return std::string(text);
  while (first > 0 && !is_space(text[first - 1])) --first;
  while (last < text.size() && !is_space(text[last])) ++last;
  return std::string(text.substr(0, first)) + encoded(mail::unfolded(text.substr(first, last - first))) +
         std::string(text.substr(last));
}

/// The octet behind the quoted string, comment or <...> that begins at `at`; npos: it does not end.
std::size_t behind(std::string_view text, std::size_t at) {
  const char open = text[at];
  int depth = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\\' && open != '<') {
      ++at;
    } else if (open == '(' && c == '(') {
      ++depth;
    } else if (open == '"' ? c == '"' && depth++ > 0 : open == '<' ? c == '>' : c == ')' && --depth == 0) {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

std::string without_quotes(std::string_view quoted) {
  std::string out;
  for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
    if (quoted[i] == '\\' && i + 2 < quoted.size()) ++i;
    out += quoted[i];
  }
  return mail::unfolded(out);
}

/// Addresses with their names: names and comments can be encoded, addresses cannot.
std::optional<std::string> ascii_addresses(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    std::size_t end = at;
    if (c == '"' || c == '(' || c == '<') {
      end = behind(text, at);
      if (end == std::string_view::npos)
        return is_ascii(text.substr(at)) ? std::optional(out.append(text.substr(at))) : std::nullopt;
    } else {
      while (end < text.size() && std::string_view("\"(<,;:").find(text[end]) == std::string_view::npos)
        ++end;
      end = std::max(end, at + 1);
    }
    const std::string_view item = text.substr(at, end - at);
    at = end;
    if (is_ascii(item)) {
      out += item;
      continue;
    }
    const std::size_t next = text.find_first_not_of(" \t\r\n", at);
    const bool local_part = next != std::string_view::npos && text[next] == '@';
    if (c == '<' || local_part || (c != '(' && c != '"' && item.find('@') != std::string_view::npos))
      return std::nullopt;
    if (c == '"')
      out += encoded(without_quotes(item));
    else if (c == '(')
      out += '(' + encoded(without_quotes(item)) + ')';
    else
      out += encoded_words(item);
  }
  return out;
}

/// type; name="..." : values by RFC 2231.
std::optional<std::string> ascii_parameters(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t from = at;
    const bool quoted = text[at] == '"';
    if (quoted) {
      at = behind(text, at);
      if (at == std::string_view::npos) return std::nullopt;
    } else {
      while (at < text.size() && std::string_view("\";=").find(text[at]) == std::string_view::npos) ++at;
      at = std::max(at, from + 1);
    }
    const std::string_view item = text.substr(from, at - from);
    if (is_ascii(item)) {
      out += item;
      continue;
    }
    const bool of_name =
        out.size() > 1 && out.back() == '=' && out[out.size() - 2] != '*' && !is_space(out[out.size() - 2]);
    if (!of_name) return std::nullopt;
    const std::string value = quoted ? without_quotes(item) : mail::unfolded(item);
    out.back() = '*';
    out += std::string("=") + charset_of(value) + "''";
    for (const char c : value)
      out += mail::is_alpha(c) || mail::is_digit(c) || c == '.' || c == '-' || c == '_' ? std::string(1, c)
                                                                                        : octet(c, '%');
  }
  return out;
}

template <std::size_t N>
bool among(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view n) { return mail::same(n, name); });
}

}  // namespace

std::optional<std::string> ascii_field(const mail::Field& field) {
  static constexpr std::array<std::string_view, 15> with_names = {"From",
                                                                  "Sender",
                                                                  "Reply-To",
                                                                  "To",
                                                                  "Cc",
                                                                  "Bcc",
                                                                  "Resent-From",
                                                                  "Resent-Sender",
                                                                  "Resent-To",
                                                                  "Resent-Cc",
                                                                  "Resent-Reply-To",
                                                                  "Mail-Followup-To",
                                                                  "Mail-Reply-To",
                                                                  "Disposition-Notification-To",
                                                                  "List-Id"};
  static constexpr std::array<std::string_view, 2> with_parameters = {"Content-Type", "Content-Disposition"};
  static constexpr std::array<std::string_view, 17> no_words = {"",
                                                                "Message-ID",
                                                                "In-Reply-To",
                                                                "References",
                                                                "Date",
                                                                "Received",
                                                                "Return-Path",
                                                                "MIME-Version",
                                                                "Resent-Message-ID",
                                                                "Resent-Date",
                                                                "Content-ID",
                                                                "Content-Transfer-Encoding",
                                                                "List-Post",
                                                                "List-Unsubscribe",
                                                                "Delivered-To",
                                                                "Authentication-Results",
                                                                "X-BeenThere"};
  if (is_ascii(field.raw)) return std::string(field.raw);
  if (among(field.name, no_words)) return std::nullopt;
  std::optional<std::string> value;
  if (among(field.name, with_names))
    value = ascii_addresses(field.value);
  else if (among(field.name, with_parameters))
    value = ascii_parameters(field.value);
  else
    value = encoded_words(field.value);
  if (!value) return std::nullopt;
  // raw = name, blanks, colon, value, line end
  const std::size_t colon = field.raw.find(':');
  return std::string(field.raw.substr(0, colon + 1)) + *value + "\r\n";
}

}  // namespace spoold::mime
