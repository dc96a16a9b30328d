// The one table of what spoold.toml may say: name, type, default, meaning of each key. It drives reading,
// unknown-key detection and near misses (load.cpp), `spoold --defaults` (defaults.cpp) and the tests that
// every key is documented in conf/README.md, can be set, and is used by the program. To add a key: its field
// in settings.hpp, its row in keys.cpp, its row in README.md.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.hpp"

namespace spoold::conf {

struct Key {
  std::string_view section;  // "" for the top of the file, else as in section_of()
  std::string_view name;
  std::string_view type;
  std::string_view meaning;
  std::string_view example;  // TOML text, not the default
  std::string_view field;    // the member of Settings' structs that the program reads
  bool required = false;
  /// TOML text of the value in these settings (of the last entry for [[sections]]); empty: absent.
  std::function<std::string(Settings)> write;
};

struct Section {
  enum class Kind { table, tables, addresses };  // [x], [[x]], [x] with free keys
  std::string_view name;
  Kind kind;
  std::string_view meaning;
};

const std::vector<Key>& keys();
const std::vector<Section>& sections();

}  // namespace spoold::conf
