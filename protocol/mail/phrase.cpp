#include "protocol/mail/phrase.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"

namespace spoold::mail {

namespace {

constexpr std::size_t max_quoted = 70;   // so that "List-Id: " and the phrase stay within a line of 78
constexpr std::size_t max_encoded = 75;  // RFC 2047 2

bool plain(char c) {
  return c == ' ' || is_atext(c);
}

}  // namespace

// Q encoding, restricted to what a phrase allows (RFC 2047 5 (3)).
std::string encoded_words(std::string_view text) {
  constexpr char hex[] = "0123456789ABCDEF";
  constexpr std::string_view begin = "=?utf-8?q?";
  std::string out(begin);
  std::size_t length = begin.size();
  while (!text.empty()) {
    std::size_t octets = 1;  // a character is never split between two encoded words
    while (octets < text.size() && (static_cast<unsigned char>(text[octets]) & 0xc0) == 0x80) ++octets;
    std::string piece;
    for (char c : text.substr(0, octets)) {
      if (is_alpha(c) || is_digit(c)) {
        piece += c;
      } else if (c == ' ') {
        piece += '_';
      } else {
        auto octet = static_cast<unsigned char>(c);
        piece += {'=', hex[octet >> 4], hex[octet & 15]};
      }
    }
    if (length + piece.size() + 2 > max_encoded) {
      out += "?=\r\n ";
      out += begin;
      length = begin.size();
    }
    out += piece;
    length += piece.size();
    text.remove_prefix(octets);
  }
  return out += "?=";
}

std::string phrase(std::string_view text) {
  text = trim(text);
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  // "=?" in plain text would be read as an encoded word that it is not
  if (!ascii || text.size() > max_quoted || text.find("=?") != std::string_view::npos)
    return encoded_words(text);
  if (std::all_of(text.begin(), text.end(), plain)) return std::string(text);
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out += '"';
}

}  // namespace spoold::mail
