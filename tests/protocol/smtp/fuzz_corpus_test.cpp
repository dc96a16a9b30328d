// The corpora of the fuzzers run in every normal test run.
#include <doctest/doctest.h>

#include <filesystem>

#include "tests/fuzz/server_dialog_entry.hpp"

namespace {

std::size_t replay(const char* corpus, void (*entry)(std::string_view)) {
  std::size_t files = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(std::string(SOURCE_DIR "/tests/fuzz/corpus/") + corpus)) {
    std::ifstream in(file.path(), std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    entry(bytes.str());
    ++files;
  }
  return files;
}

}  // namespace

TEST_CASE("fuzz corpus: server dialog") {
  CHECK(replay("server_dialog", &spoold::tests::fuzz_server_dialog) >= 10);
}
TEST_CASE("fuzz corpus: data reader") {
  CHECK(replay("data_reader", &spoold::tests::fuzz_data_reader) >= 5);
}
