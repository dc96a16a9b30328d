// Runs a fuzzer's entry over its corpus, in every normal test run.
#pragma once
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "tests/source_dir.hpp"

namespace spoold::tests {

/// How many files tests/fuzz/corpus/CORPUS holds, each given to `entry`.
inline std::size_t replay(const char* corpus, void (*entry)(std::string_view)) {
  std::size_t files = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(source_dir() + "/tests/fuzz/corpus/" + corpus)) {
    std::ifstream in(file.path(), std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    entry(bytes.str());
    ++files;
  }
  return files;
}

}  // namespace spoold::tests
