#include <doctest/doctest.h>

#include "tests/fuzz/dns_entry.hpp"
#include "tests/fuzz/replay.hpp"

TEST_CASE("the corpus of the DNS fuzzer") {
  CHECK(spoold::tests::replay("dns", spoold::tests::fuzz_dns) >= 8);
}
