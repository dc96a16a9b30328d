#include "protocol/mail/header.hpp"

#include "protocol/mail/ascii.hpp"

namespace spoold::mail {

namespace {

/// Length of the field name when the line is `name:`, else npos. Blanks before the colon: RFC 5322 4.5
/// (obsolete).
std::size_t name_length(std::string_view line) {
  std::size_t length = 0;
  while (length < line.size() && line[length] > 0x20 && line[length] < 0x7f && line[length] != ':') ++length;
  std::size_t colon = length;
  while (colon < line.size() && (line[colon] == ' ' || line[colon] == '\t')) ++colon;
  return length > 0 && colon < line.size() && line[colon] == ':' ? length : std::string_view::npos;
}

std::string_view without_line_end(std::string_view line) {
  if (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

}  // namespace

const char* text(HeaderFault fault) {
  return fault == HeaderFault::too_long ? "the header is too long" : "the header has too many fields";
}

tl::expected<Header, HeaderFault> Header::scan(std::string_view bytes, HeaderLimits limits) {
  Header header;
  header.fields_.reserve(16);
  std::size_t at = 0;
  while (at < bytes.size()) {
    std::size_t feed = bytes.find('\n', at);
    std::size_t next = feed == std::string_view::npos ? bytes.size() : feed + 1;
    std::string_view line = bytes.substr(at, next - at);
    std::string_view content = without_line_end(line);
    if (content.empty()) {
      header.complete_ = true;
      header.end_ = next;
      return header;
    }
    if (next > limits.octets) return tl::unexpected(HeaderFault::too_long);
    const bool continues = (line[0] == ' ' || line[0] == '\t') && !header.fields_.empty();
    if (continues) {
      Field& field = header.fields_.back();
      field.raw = {field.raw.data(), field.raw.size() + line.size()};
      const char* last = content.data() + content.size();
      field.value = {field.value.data(), static_cast<std::size_t>(last - field.value.data())};
    } else if (std::size_t length = name_length(content); length != std::string_view::npos) {
      if (header.fields_.size() == limits.fields) return tl::unexpected(HeaderFault::too_many_fields);
      header.fields_.push_back({line.substr(0, length), line, content.substr(content.find(':', length) + 1)});
    } else if (at == 0 && line.substr(0, 5) == "From ") {
      header.fields_.push_back({line.substr(0, 0), line, content});
    } else {
      header.complete_ = true;  // not a field: the body begins here
      header.end_ = at;
      return header;
    }
    at = next;
  }
  header.end_ = at;
  return header;
}

const Field* Header::find(std::string_view name) const {
  for (const Field& field : fields_)
    if (same(field.name, name)) return &field;
  return nullptr;
}

std::size_t Header::count(std::string_view name) const {
  std::size_t count = 0;
  for (const Field& field : fields_) count += same(field.name, name);
  return count;
}

std::string unfolded(std::string_view value) {
  if (value.find('\n') == value.npos && value.find('\r') == value.npos) return std::string(trim(value));
  std::string out;
  for (char c : value)
    if (c != '\r' && c != '\n') out += c;
  return std::string(trim(out));
}

std::string message_id(const Header& header) {
  const Field* field = header.find("Message-ID");
  if (!field) return {};
  std::size_t begin = field->value.find('<');
  std::size_t end = begin == std::string_view::npos ? begin : field->value.find('>', begin);
  return unfolded(end == std::string_view::npos ? field->value : field->value.substr(begin, end + 1 - begin));
}

std::string subject(const Header& header) {
  const Field* field = header.find("Subject");
  return field ? unfolded(field->value) : std::string();
}

std::string first_token(std::string_view value) {
  int comments = 0;
  std::string token;
  for (char c : value) {
    if (c == '(') {
      ++comments;
    } else if (c == ')' && comments > 0) {
      --comments;
    } else if (comments == 0) {
      if (c == ';' || (is_space(c) && !token.empty())) break;
      if (!is_space(c)) token += lower(c);
    }
  }
  return token;
}

}  // namespace spoold::mail
