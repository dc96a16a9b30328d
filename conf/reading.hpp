// One pass over one file: the settings as far as they are read, every problem met, and where each key was
// written. Used by keys.cpp (which knows each key), load.cpp (which walks the file) and check.cpp (which
// compares keys).
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "conf/load.hpp"
#include "conf/toml.hpp"

namespace spoold::conf {

struct Reading {
  std::string file;
  Settings settings;
  std::vector<Problem> problems;
  std::map<std::string, toml::source_position> where;  // "delivery.retry", "listen.1.address"

  void complain(toml::source_position at, std::string what) {
    problems.push_back({file, at.line, at.column, std::move(what)});
  }
  void complain(const toml::node& node, std::string what) { complain(node.source().begin, std::move(what)); }
  /// About a key read earlier; the top of the file when it was not written.
  void complain_at(const std::string& key, std::string what) {
    const auto found = where.find(key);
    complain(found == where.end() ? toml::source_position{1, 1} : found->second, std::move(what));
  }

  // Each answers nothing after having complained.
  std::optional<std::string> text(const toml::node&, const std::string& expected);
  std::optional<bool> boolean(const toml::node&);
  std::optional<std::int64_t> integer(const toml::node&, std::int64_t least, std::int64_t most);
  std::optional<Duration> duration(const toml::node&, Duration least);
  const toml::array* array(const toml::node&, const std::string& expected);
};

/// "a string", "an integer", "a table": for "expected ..., found ...".
std::string kind_of(const toml::node&);

/// Contradictions between keys that are right each for itself.
void check_together(Reading&);

}  // namespace spoold::conf
