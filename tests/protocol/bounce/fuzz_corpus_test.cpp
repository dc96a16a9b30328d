// The corpora of the fuzzers of bounce/ run in every normal test run.
#include <doctest/doctest.h>

#include "tests/fuzz/bounce_entry.hpp"
#include "tests/fuzz/replay.hpp"

TEST_CASE("fuzz corpus: bounces") {
  CHECK(spoold::tests::replay("bounce", &spoold::tests::fuzz_bounce) >= 10);
}
TEST_CASE("fuzz corpus: complaints") {
  CHECK(spoold::tests::replay("complaint", &spoold::tests::fuzz_complaint) >= 4);
}
