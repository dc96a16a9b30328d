// The corpora of the fuzzers run in every normal test run.
#include <doctest/doctest.h>

#include "tests/fuzz/opening_entry.hpp"
#include "tests/fuzz/proxied_entry.hpp"
#include "tests/fuzz/replay.hpp"
#include "tests/fuzz/sasl_entry.hpp"
#include "tests/fuzz/server_dialog_entry.hpp"

using spoold::tests::replay;

TEST_CASE("fuzz corpus: server dialog") {
  CHECK(replay("server_dialog", &spoold::tests::fuzz_server_dialog) >= 10);
}
TEST_CASE("fuzz corpus: framing of BDAT") {
  CHECK(replay("bdat", &spoold::tests::fuzz_bdat) >= 5);
}
TEST_CASE("fuzz corpus: data reader") {
  CHECK(replay("data_reader", &spoold::tests::fuzz_data_reader) >= 5);
}
TEST_CASE("fuzz corpus: opening, STARTTLS and AUTH") {
  CHECK(replay("opening", &spoold::tests::fuzz_opening) >= 20);
}
TEST_CASE("fuzz corpus: PROXY headers and XCLIENT") {
  CHECK(replay("proxied", &spoold::tests::fuzz_proxied) >= 20);
}
TEST_CASE("fuzz corpus: the exchange of AUTH") {
  CHECK(replay("sasl", &spoold::tests::fuzz_sasl) >= 10);
}
