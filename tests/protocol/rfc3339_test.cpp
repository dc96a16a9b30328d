#include "protocol/rfc3339.hpp"

#include <doctest/doctest.h>

using namespace spoold;

TEST_CASE("times of RFC 3339 are read as they are written, with offsets and fractions") {
  const auto read = [](const char* text) {
    const auto time = parse_rfc3339(text);
    return time ? rfc3339(*time) : "none";
  };
  CHECK(read("2026-11-22T10:31:07Z") == "2026-11-22T10:31:07.000Z");
  CHECK(read("2026-11-22t10:31:07.123456z") == "2026-11-22T10:31:07.123Z");
  CHECK(read("2026-11-22T10:31:07.5+01:00") == "2026-11-22T09:31:07.500Z");
  CHECK(read("2026-11-22T23:59:60-00:30") == "2026-11-23T00:30:00.000Z");
  for (const char* none :
       {"", "2026-11-22", "2026-11-22T10:31:07", "2026-02-30T10:31:07Z", "2026-11-22T24:00:00Z",
        "2026-11-22T10:31:07.Z", "2026-11-22T10:31:07+1:00", "2026-11-22T10:31:07Zx", "26-11-22T10:31:07Z"})
    CHECK(read(none) == "none");
}
