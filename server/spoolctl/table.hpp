// Tables for the eye: columns aligned, two blanks between them, no rules. Cells are made safe for a terminal.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace spoold::server::admin {

/// Control characters and broken UTF-8 as \xXX, marks of direction as \uXXXX; at most `columns` wide (0: any), cut with "...".
std::string printable(std::string_view text, std::size_t columns = 0);
/// A text of many lines for a terminal: as printable(), but line ends and tabs stay.
std::string printable_lines(std::string_view text);
/// Columns that printable text takes (one for each code point).
std::size_t width(std::string_view text);

class Table {
 public:
  /// Names beginning with '>' are right-aligned.
  explicit Table(std::vector<std::string> names);
  void row(std::vector<std::string> cells);
  std::string text() const;  // with a line for the names; "" without rows
  std::size_t rows() const { return rows_.size(); }

 private:
  std::vector<std::string> names_;
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace spoold::server::admin
