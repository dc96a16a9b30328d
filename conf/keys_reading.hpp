// The reading half of the key table (needs toml++, therefore apart from keys.hpp).
#pragma once
#include "conf/keys.hpp"
#include "conf/reading.hpp"

namespace spoold::conf {

/// Reads the value of keys()[index] into reading.settings (the last entry for [[sections]]).
void read_key(std::size_t index, Reading&, const toml::node&);

}  // namespace spoold::conf
