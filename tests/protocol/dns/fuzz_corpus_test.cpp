#include <doctest/doctest.h>

#include "tests/fuzz/dns_entry.hpp"
#include "tests/fuzz/replay.hpp"
#include "tests/fuzz/zone_file_entry.hpp"

TEST_CASE("the corpus of the DNS fuzzer") {
  CHECK(spoold::tests::replay("dns", spoold::tests::fuzz_dns) >= 8);
}

TEST_CASE("the corpus of the fuzzer of master files") {
  CHECK(spoold::tests::replay("zone_file", spoold::tests::fuzz_zone_file) >= 3);
}
