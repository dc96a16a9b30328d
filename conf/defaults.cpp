// `spoold --defaults`: the key table as a file that loads.
#include <algorithm>

#include "conf/keys.hpp"
#include "conf/load.hpp"

namespace spoold::conf {

namespace {

/// "name = value          # meaning", with the comments of short lines in one column.
std::string row(const Key& key, const std::string& value, bool comment, const std::string& more = {}) {
  std::string line = (comment ? "# " : "") + std::string(key.name) + " = " + value;
  line.resize(std::max<std::size_t>(line.size() + 1, 44), ' ');
  return line + "# " + std::string(key.meaning) + more + "\n";
}

}  // namespace

std::string defaults() {
  std::string out =
      "# Every key of spoold.toml with its default. Lines that begin with '#' have no default: an example "
      "stands there.\n";
  const auto section = [&out](std::string_view name, bool many) {
    for (const Key& key : keys()) {
      if (key.section != name) continue;
      const std::string value = key.write ? key.write(Settings{}) : "";
      if (many || value.empty())
        out += row(key, value.empty() ? std::string(key.example) : value, many || !key.required,
                   key.required && !many ? " (required; an example)" : "");
      else
        out += row(key, value, false);
    }
  };
  section("", false);
  for (const Section& next : sections()) {
    const bool many = next.kind == Section::Kind::tables;
    const std::string name(next.name);
    out +=
        "\n# " + std::string(next.meaning) + "\n" + (many ? "# [[" + name + "]]" : "[" + name + "]") + "\n";
    if (next.kind == Section::Kind::addresses)
      out += "# \"postmaster@lists.example.org\" = [\"admin@example.org\"]\n";
    section(next.name, many);
  }
  return out;
}

}  // namespace spoold::conf
