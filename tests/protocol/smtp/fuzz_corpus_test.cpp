// The corpora of the fuzzers run in every normal test run.
#include <doctest/doctest.h>

#include "tests/fuzz/replay.hpp"
#include "tests/fuzz/server_dialog_entry.hpp"

using spoold::tests::replay;

TEST_CASE("fuzz corpus: server dialog") {
  CHECK(replay("server_dialog", &spoold::tests::fuzz_server_dialog) >= 10);
}
TEST_CASE("fuzz corpus: data reader") {
  CHECK(replay("data_reader", &spoold::tests::fuzz_data_reader) >= 5);
}
