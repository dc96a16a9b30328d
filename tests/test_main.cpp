#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include "tests/source_dir.hpp"

std::string source_dir() {
  return SOURCE_DIR;
}
