#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/fuzz/client_dialog_entry.hpp"
#include "tests/source_dir.hpp"

TEST_CASE("fuzz corpus: client dialog") {
  int files = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(source_dir() + "/tests/fuzz/corpus/client_dialog")) {
    std::ostringstream bytes;
    bytes << std::ifstream(file.path(), std::ios::binary).rdbuf();
    spoold::tests::fuzz_client_dialog(bytes.str());
    ++files;
  }
  CHECK(files >= 10);
}
