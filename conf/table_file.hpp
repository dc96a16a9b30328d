// A file that is rows of one kind, [[reply]] or [[provider]]: what its readers have in common.
#pragma once
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "conf/reading.hpp"

namespace spoold::conf {

/// The text of the file; `what` names the table in the problem: "the table of replies".
tl::expected<std::string, std::vector<Problem>> text_of_table(const std::string& path, std::string_view what);

/// The rows of tables [[`table`]], each by `read(Reading&, const toml::table&)`, or all problems. `name`: of the file, for them.
template <class Row, class Read>
tl::expected<std::vector<Row>, std::vector<Problem>> rows_of(std::string_view toml, const std::string& name,
                                                             std::string_view table, Read read) {
  auto parsed = toml::parse(toml, name);
  if (!parsed) {
    const auto at = parsed.error().source().begin;
    return tl::unexpected(
        std::vector<Problem>{{name, at.line, at.column, std::string(parsed.error().description())}});
  }
  Reading reading;
  reading.file = name;
  std::vector<Row> rows;
  for (const auto& [key, node] : parsed.table()) {
    const auto* list = node.as_array();
    if (key.str() != table || !list) {
      reading.complain(key.source().begin, "expected tables [[" + std::string(table) + "]], found '" +
                                               std::string(key.str()) + "'");
      continue;
    }
    for (const auto& item : *list) {
      if (const auto* one = item.as_table())
        rows.push_back(read(reading, *one));
      else
        reading.complain(item, "expected a table, found " + kind_of(item));
    }
  }
  if (reading.problems.empty()) return rows;
  return tl::unexpected(std::move(reading.problems));
}

}  // namespace spoold::conf
