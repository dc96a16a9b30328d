#include <doctest/doctest.h>

#include "tests/fuzz/auth_entry.hpp"
#include "tests/fuzz/dkim2_entry.hpp"
#include "tests/fuzz/dkim2_make_entry.hpp"
#include "tests/fuzz/replay.hpp"

TEST_CASE("the corpora of the fuzzers of SPF, DKIM and DMARC") {
  using namespace spoold::tests;
  CHECK(replay("spf", fuzz_spf) >= 5);
  CHECK(replay("dkim", fuzz_dkim) >= 3);
  CHECK(replay("dmarc", fuzz_dmarc) >= 3);
  CHECK(replay("dkim2", fuzz_dkim2) >= 6);
  CHECK(replay("dkim2_make", fuzz_dkim2_make) >= 9);
}
