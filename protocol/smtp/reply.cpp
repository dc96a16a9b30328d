#include "protocol/smtp/reply.hpp"

#include <charconv>

namespace spoold::smtp {
namespace {

// At most three digits, no leading zero but "0" itself (RFC 2034 section 4 refers to RFC 3463 section 2).
std::optional<std::uint16_t> number(std::string_view text) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void append_number(std::string& out, unsigned value) {
  std::array<char, 12> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  out.append(digits.data(), end);
}

bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}

// A reply of ours is ASCII, whatever address it names (RFC 5321 4.2.1, RFC 6531 3.7.4.2): a '?' for each other character.
void append_ascii(std::string& out, std::string_view line) {
  for (const char c : line) {
    if (c == '\r' || c == '\n' || c == '\0')
      out.push_back(' ');
    else if (static_cast<unsigned char>(c) < 0x80)
      out.push_back(c);
    else if (begins_character(c))
      out.push_back('?');
  }
}

// A reply's text must never smuggle a line end of its own: CR and NUL become spaces ('\n' separates lines).
void append_clean(std::string& out, std::string_view line) {
  for (const char c : line) out.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
}

}  // namespace

std::string EnhancedStatus::text() const {
  std::string out;
  if (!given()) return out;
  append_number(out, klass);
  out.push_back('.');
  append_number(out, subject);
  out.push_back('.');
  append_number(out, detail);
  return out;
}

std::optional<EnhancedStatus> EnhancedStatus::parse(std::string_view text) {
  const auto first = text.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const auto second = text.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const auto klass = number(text.substr(0, first));
  const auto subject = number(text.substr(first + 1, second - first - 1));
  const auto detail = number(text.substr(second + 1));
  if (!klass || !subject || !detail || (*klass != 2 && *klass != 4 && *klass != 5)) return std::nullopt;
  return EnhancedStatus{static_cast<std::uint8_t>(*klass), *subject, *detail};
}

void Reply::append_wire(std::string& out) const {
  std::string_view rest = text;
  for (;;) {
    const auto end = rest.find('\n');
    const bool last = end == std::string_view::npos;
    append_number(out, static_cast<unsigned>(code));
    out.push_back(last ? ' ' : '-');
    if (enhanced.given()) {
      append_number(out, enhanced.klass);
      out.push_back('.');
      append_number(out, enhanced.subject);
      out.push_back('.');
      append_number(out, enhanced.detail);
      out.push_back(' ');
    }
    append_ascii(out, rest.substr(0, end));
    out.append("\r\n");
    if (last) return;
    rest.remove_prefix(end + 1);
  }
}

std::string Reply::wire() const {
  std::string out;
  out.reserve(text.size() + 20);
  append_wire(out);
  return out;
}

std::string Reply::oneline() const {
  std::string out;
  if (code != 0) append_number(out, static_cast<unsigned>(code));
  if (enhanced.given()) {
    if (!out.empty()) out.push_back(' ');
    out += enhanced.text();
  }
  if (!text.empty()) {
    if (!out.empty()) out.push_back(' ');
    append_clean(out, text);
  }
  return out;
}

}  // namespace spoold::smtp
