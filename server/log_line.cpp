#include "server/log_line.hpp"

#include <algorithm>

namespace spoold::server::log {

namespace {

constexpr std::size_t longest_value = 2000;
constexpr char hex_digits[] = "0123456789abcdef";

/// Octets of the well-formed UTF-8 sequence at the start of `text` (RFC 3629), 0 when there is none.
std::size_t sequence(std::string_view text) {
  const auto octet = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto lead = octet(0);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xc2 ? 0
                             : lead < 0xe0 ? 2
                             : lead < 0xf0 ? 3
                             : lead < 0xf5 ? 4
                                           : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((octet(i) & 0xc0) != 0x80) return 0;
  if ((lead == 0xe0 && octet(1) < 0xa0) || (lead == 0xed && octet(1) > 0x9f) ||
      (lead == 0xf0 && octet(1) < 0x90) || (lead == 0xf4 && octet(1) > 0x8f))
    return 0;
  return length;
}

/// Control characters of ASCII, and those of Unicode's C1 block (a terminal obeys them too).
bool is_control(std::string_view one) {
  const auto first = static_cast<unsigned char>(one[0]);
  if (one.size() == 1) return first < 0x20 || first == 0x7f;
  return one.size() == 2 && first == 0xc2 && static_cast<unsigned char>(one[1]) < 0xa0;
}

void append_hex(std::string& line, unsigned value) {
  line += hex_digits[(value >> 4) & 15];
  line += hex_digits[value & 15];
}

/// `json`: \u00XX for controls and U+FFFD for broken octets; else \xXX for both.
void append_escaped(std::string& line, std::string_view value, bool json) {
  for (std::size_t at = 0; at < value.size();) {
    const char c = value[at];
    const auto length = sequence(value.substr(at));
    if (length == 0) {
      if (json)
        line += "\xef\xbf\xbd";
      else
        line += "\\x", append_hex(line, static_cast<unsigned char>(c));
      ++at;
      continue;
    }
    const auto one = value.substr(at, length);
    at += length;
    if (c == '"' || c == '\\')
      line += '\\', line += c;
    else if (c == '\n')
      line += "\\n";
    else if (c == '\r')
      line += "\\r";
    else if (c == '\t')
      line += "\\t";
    else if (is_control(one))
      line += json || length == 2 ? "\\u00" : "\\x", append_hex(line, static_cast<unsigned char>(one.back()));
    else
      line += one;
  }
}

/// Words that need no quotes: printable ASCII without blanks, quotes, '=' and backslashes.
bool plain(std::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
  });
}

void append_quoted(std::string& line, std::string_view value, bool json) {
  line += '"';
  append_escaped(line, value.substr(0, longest_value), json);
  if (value.size() > longest_value) line += "...";
  line += '"';
}

}  // namespace

const char* text(Level level) {
  constexpr const char* names[] = {"debug", "info", "warning", "error"};
  return names[static_cast<std::size_t>(level)];
}

void append_text(std::string& line, TimePoint at, Level level, std::string_view event,
                 std::span<const Field> fields) {
  line.append(rfc3339(at)).append(" ").append(text(level)).append(" event=").append(event);
  for (const Field& field : fields) {
    line.append(" ").append(field.key).append("=");
    if (field.is_number)
      line += std::to_string(field.number);
    else if (plain(field.text) && field.text.size() <= longest_value)
      line += field.text;
    else
      append_quoted(line, field.text, false);
  }
}

void append_json(std::string& line, TimePoint at, Level level, std::string_view event,
                 std::span<const Field> fields) {
  line.append("{\"time\":\"").append(rfc3339(at)).append("\",\"level\":\"").append(text(level));
  line.append("\",\"event\":\"").append(event).append("\"");
  for (const Field& field : fields) {
    line.append(",\"").append(field.key).append("\":");
    if (field.is_number)
      line += std::to_string(field.number);
    else
      append_quoted(line, field.text, true);
  }
  line += '}';
}

}  // namespace spoold::server::log
