#include "protocol/mime/transfer.hpp"

#include <algorithm>
#include <optional>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"
#include "protocol/mail/header.hpp"

namespace spoold::mime {
namespace {

constexpr std::size_t max_line = 76;  // RFC 2045 6.7, 6.8
constexpr char digits[] = "0123456789ABCDEF";

constexpr std::size_t encoded_word_at_most = 998;  // RFC 2047 2 says 75; a line of any message ends here

void put_octet(std::string& out, char c) {
  const auto value = static_cast<unsigned char>(c);
  out += {'=', digits[value >> 4], digits[value & 15]};
}

/// -1: no digit of that kind.
int hex(char c) {
  if (mail::is_digit(c)) return c - '0';
  const char l = mail::lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

int sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (mail::is_digit(c)) return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

std::string from_base64(std::string_view letters, std::size_t most) {
  std::string out;
  unsigned bits = 0, count = 0;
  for (const char c : letters) {
    if (out.size() == most) break;
    const int value = sextet(c);
    if (c == '=') {  // padding, or the end of one of several encoded pieces
      count = 0;
      continue;
    }
    if (value < 0) continue;
    bits = (bits << 6 | static_cast<unsigned>(value)) & 0xffffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
  return out;
}

/// `word`: of RFC 2047 4.2, where '_' is a space and no line is broken.
std::string from_quoted(std::string_view text, std::size_t most, bool word) {
  std::string out;
  for (std::size_t at = 0; at < text.size() && out.size() < most; ++at) {
    const char c = text[at];
    if (word && c == '_') {
      out += ' ';
      continue;
    }
    if (c != '=') {
      out += c;
      continue;
    }
    if (at + 2 < text.size() && hex(text[at + 1]) >= 0 && hex(text[at + 2]) >= 0) {
      out += static_cast<char>(hex(text[at + 1]) * 16 + hex(text[at + 2]));
      at += 2;
      continue;
    }
    // A soft line break; blanks may have been added behind it on the way (RFC 2045 6.7, rule 3).
    std::size_t end = at + 1;
    while (end < text.size() && end < at + 80 && (text[end] == ' ' || text[end] == '\t' || text[end] == '\r'))
      ++end;
    if (!word && (end == text.size() || text[end] == '\n'))
      at = end;
    else
      out += c;
  }
  return out;
}

struct Word {
  std::string text;
  std::size_t end;
};

/// The encoded word whose "=?" is at `at`.
std::optional<Word> encoded_word(std::string_view value, std::size_t at) {
  const std::string_view near = value.substr(at, encoded_word_at_most);
  const std::size_t encoding = near.find('?', 2);
  if (encoding == near.npos || encoding + 3 > near.size() || near[encoding + 2] != '?') return std::nullopt;
  const std::size_t end = near.find("?=", encoding + 3);
  if (end == near.npos) return std::nullopt;
  const std::string_view text = near.substr(encoding + 3, end - encoding - 3);
  const char kind = mail::lower(near[encoding + 1]);
  if (kind != 'b' && kind != 'q') return std::nullopt;
  return Word{kind == 'b' ? from_base64(text, text.size()) : from_quoted(text, text.size(), true),
              at + end + 2};
}

}  // namespace

void append_quoted(std::string& out, std::string_view body, bool again) {
  std::size_t length = 0;  // of the line
  for (std::size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (c == '\r' && i + 1 < body.size() && body[i + 1] == '\n') {
      out += "\r\n";
      length = 0;
      ++i;
      continue;
    }
    const bool before_end = i + 1 == body.size() || body.substr(i + 1).starts_with("\r\n");
    const bool blank = c == ' ' || c == '\t';
    const bool plain = (c > 32 && c < 127 && c != '=') || (blank && !before_end);
    const bool literal = static_cast<unsigned char>(c) < 0x80 && (plain || again);
    const std::size_t size = literal ? 1 : 3;
    // Behind a "=" there may be its two digits already; behind all but the last octet a "=" of our own.
    const std::size_t room = before_end ? max_line : max_line - 1;
    if (length + size + (again && c == '=' && !before_end ? 2 : 0) > room) {
      out += "=\r\n";
      length = 0;
    }
    if (literal)
      out += c;
    else
      put_octet(out, c);
    length += size;
  }
}

void append_base64(std::string& out, std::string_view body) {
  constexpr std::size_t octets = max_line / 4 * 3;
  for (; !body.empty(); body.remove_prefix(std::min(octets, body.size()))) {
    out += mail::base64_encode(body.substr(0, octets));
    if (body.size() > octets || body.ends_with("\r\n")) out += "\r\n";
  }
}

std::string decoded(std::string_view body, std::string_view encoding, std::size_t most) {
  if (encoding == "base64") return from_base64(body, most);
  if (encoding == "quoted-printable") return from_quoted(body, most, false);
  return std::string(body.substr(0, most));
}

std::string decoded_words(std::string_view folded, std::size_t most) {
  const std::string value = mail::unfolded(folded);
  std::string out;
  bool behind_word = false;  // with nothing but blanks since
  std::size_t word_end = 0;
  for (std::size_t at = 0; at < value.size() && out.size() < most;) {
    if (value.compare(at, 2, "=?") == 0) {
      if (const auto word = encoded_word(value, at)) {
        if (behind_word)
          out.resize(word_end);  // RFC 2047 6.2: blanks between two encoded words are not shown
        out += word->text;
        at = word->end;
        behind_word = true;
        word_end = out.size();
        continue;
      }
    }
    if (!mail::is_space(value[at])) behind_word = false;
    out += value[at++];
  }
  if (out.size() > most) out.resize(most);
  return out;
}

}  // namespace spoold::mime
