// The corpora of the fuzzers of mail/ and list/ run in every normal test run.
#include <filesystem>
#include <fstream>
#include <sstream>

#include <doctest/doctest.h>

#include "tests/fuzz/mail_entry.hpp"

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

TEST_CASE("fuzz corpus: mailbox") {
  CHECK(replay("mailbox", &spoold::tests::fuzz_mailbox) >= 10);
}
TEST_CASE("fuzz corpus: header") {
  CHECK(replay("header", &spoold::tests::fuzz_header) >= 10);
}
TEST_CASE("fuzz corpus: verp") {
  CHECK(replay("verp", &spoold::tests::fuzz_verp) >= 8);
}
TEST_CASE("fuzz corpus: import file") {
  CHECK(replay("import_file", &spoold::tests::fuzz_import_file) >= 6);
}
