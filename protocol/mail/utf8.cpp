#include "protocol/mail/utf8.hpp"

namespace spoold::mail {

std::size_t decode_utf8(std::string_view text, char32_t& point) {
  auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = at(0);
  if (first < 0x80) {
    point = first;
    return 1;
  }
  std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  point = first & (0xff >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
    point = point << 6 | (at(i) & 0x3f);
  }
  if (length == 3 && (point < 0x800 || (point >= 0xd800 && point < 0xe000))) return 0;
  if (length == 4 && (point < 0x10000 || point > 0x10ffff)) return 0;
  return length;
}

namespace {

bool valid(std::string_view text, bool controls) {
  while (!text.empty()) {
    char32_t point = 0;
    std::size_t length = decode_utf8(text, point);
    if (length == 0) return false;
    if (!controls && (point < 0x20 || (point >= 0x7f && point < 0xa0))) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

bool is_utf8_text(std::string_view text) {
  return valid(text, false);
}
bool is_utf8(std::string_view text) {
  return valid(text, true);
}

bool obeyed_by_terminals(char32_t point) {
  return point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0x202a && point <= 0x202e) ||
         (point >= 0x2066 && point <= 0x2069);
}

std::string_view utf8_front(std::string_view text, std::size_t octets) {
  if (text.size() <= octets) return text;
  while (octets > 0 && (static_cast<unsigned char>(text[octets]) & 0xc0) == 0x80) --octets;
  return text.substr(0, octets);
}

}  // namespace spoold::mail
