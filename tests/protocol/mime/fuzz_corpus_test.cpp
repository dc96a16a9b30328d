#include <doctest/doctest.h>

#include "tests/fuzz/mime_entry.hpp"
#include "tests/fuzz/replay.hpp"

TEST_CASE("fuzz corpus: mime") {
  CHECK(spoold::tests::replay("mime", &spoold::tests::fuzz_mime) >= 4);
}
