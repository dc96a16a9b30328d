// The corpus of the fuzzer of milter frames, replayed in every build.
#include <doctest/doctest.h>

#include "tests/fuzz/milter_entry.hpp"
#include "tests/fuzz/replay.hpp"

using spoold::tests::replay;

TEST_CASE("fuzz corpus: what a filter sends") {
  CHECK(replay("milter", &spoold::tests::fuzz_milter) >= 15);
}
