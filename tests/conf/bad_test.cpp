// Each tests/conf/bad/NAME.toml is refused with exactly the lines of NAME.expected.
#include <doctest/doctest.h>

#include <filesystem>

#include "conf/load.hpp"
#include "tests/conf/slurp.hpp"
#include "tests/source_dir.hpp"

using namespace spoold::conf;
namespace fs = std::filesystem;

TEST_CASE("every bad configuration is refused with exactly the problems that its .expected file names") {
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(source_dir()) / "tests/conf/bad")) {
    if (entry.path().extension() != ".toml") continue;
    ++files;
    CAPTURE(entry.path().filename().string());
    const auto settings = parse(slurp(entry.path()), entry.path().filename().string());
    REQUIRE(!settings);
    std::string lines;
    for (const Problem& problem : settings.error()) lines += problem.text() + "\n";
    auto expected = entry.path();
    CHECK(lines == slurp(expected.replace_extension(".expected")));
  }
  CHECK(files >= 9);
}

TEST_CASE("a file that cannot be read is a problem that names it") {
  const auto missing = load("/nonexistent/spoold.toml");
  REQUIRE(!missing);
  CHECK(missing.error().at(0).text() ==
        "/nonexistent/spoold.toml:1:1: the configuration cannot be read: No such file or directory");
  const auto folder = load(source_dir());
  REQUIRE(!folder);
  CHECK(folder.error().at(0).what == "the configuration cannot be read: is a folder");
}
