#include "server/spoolctl/table.hpp"

#include <algorithm>

#include "protocol/mail/utf8.hpp"

namespace spoold::server::admin {

namespace {

bool continues(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

/// Octets of the first code point of what printable() has made.
std::size_t first_length(std::string_view text) {
  std::size_t length = 1;
  while (length < text.size() && length < 4 && continues(text[length])) ++length;
  return length;
}

}  // namespace

std::string printable(std::string_view text, std::size_t columns) {
  std::string out;
  constexpr char hex[] = "0123456789abcdef";
  while (!text.empty()) {
    char32_t point = 0;
    const std::size_t length = mail::decode_utf8(text, point);
    if (length > 0 && !mail::obeyed_by_terminals(point)) {
      out += text.substr(0, length);
      text.remove_prefix(length);
      continue;
    }
    if (length == 3) {  // a mark of direction
      out += "\\u";
      for (const int shift : {12, 8, 4, 0}) out += hex[point >> shift & 15];
      text.remove_prefix(length);
      continue;
    }
    const auto octet = static_cast<unsigned char>(text[0]);
    out += "\\x";
    out += hex[octet >> 4];
    out += hex[octet & 15];
    text.remove_prefix(1);
  }
  if (columns == 0 || width(out) <= columns) return out;
  std::size_t keep = columns > 3 ? columns - 3 : 0, at = 0;
  while (keep-- > 0) at += first_length(std::string_view(out).substr(at));
  return out.substr(0, at) + "...";
}

std::string printable_lines(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\n\t"), text.size());
    std::string_view part = text.substr(0, end);
    if (end < text.size() && part.ends_with('\r')) part.remove_suffix(1);
    out += printable(part);
    if (end < text.size()) out += text[end];
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

Table::Table(std::vector<std::string> names) : names_(std::move(names)) {
  for (auto& name : names_) {
    right_.push_back(name.starts_with('>'));
    if (right_.back()) name.erase(0, 1);
  }
}

void Table::row(std::vector<std::string> cells) {
  cells.resize(names_.size());
  for (auto& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  if (rows_.empty()) return {};
  std::vector<std::size_t> widths;
  for (const auto& name : names_) widths.push_back(width(name));
  for (const auto& cells : rows_)
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], width(cells[i]));
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string one;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string gap(widths[i] - width(cells[i]), ' ');
      one += i ? "  " : "";
      one += right_[i] ? gap + cells[i] : cells[i] + gap;
    }
    one.erase(one.find_last_not_of(' ') + 1);
    out += one + "\n";
  };
  line(names_);
  for (const auto& cells : rows_) line(cells);
  return out;
}

}  // namespace spoold::server::admin
