// What an entry point reads of the octets that a fuzzer made up.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

namespace spoold::tests {

inline void must(bool holds) {
  if (!holds) std::abort();
}

struct Input {
  std::string_view data;
  /// 0 behind the end.
  unsigned octet() {
    if (data.empty()) return 0;
    const unsigned value = static_cast<unsigned char>(data.front());
    data.remove_prefix(1);
    return value;
  }
  std::string take(std::size_t most) {
    const std::string taken(data.substr(0, most));
    data.remove_prefix(taken.size());
    return taken;
  }
};

}  // namespace spoold::tests
