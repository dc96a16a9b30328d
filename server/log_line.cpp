#include "server/log_line.hpp"

#include <algorithm>

#include "protocol/mail/utf8.hpp"

namespace spoold::server::log {

namespace {

constexpr std::size_t longest_value = 2000;
constexpr char hex_digits[] = "0123456789abcdef";

void append_hex(std::string& line, unsigned value) {
  line += hex_digits[(value >> 4) & 15];
  line += hex_digits[value & 15];
}

/// `json`: \u00XX for controls and U+FFFD for broken octets; else \xXX for both.
void append_escaped(std::string& line, std::string_view value, bool json) {
  for (std::size_t at = 0; at < value.size();) {
    const auto plain_end =
        std::find_if(value.begin() + static_cast<std::ptrdiff_t>(at), value.end(), [](char c) {
          return c < ' ' || c >= 0x7f || c == '"' ||
                 c == '\\';  // char is signed: octets above 0x7f are below ' '
        });
    const auto plain_size = static_cast<std::size_t>(plain_end - value.begin()) - at;
    line += value.substr(at, plain_size);
    at += plain_size;
    if (at == value.size()) return;
    const char c = value[at];
    char32_t point = 0;
    const auto length = mail::decode_utf8(value.substr(at), point);
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
    else if (!mail::obeyed_by_terminals(point))
      line += one;
    else if (length == 1 && !json)
      line += "\\x", append_hex(line, point);
    else
      line += "\\u", append_hex(line, point >> 8), append_hex(line, point);
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
