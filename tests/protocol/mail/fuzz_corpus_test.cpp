// The corpora of the fuzzers of mail/ and list/ run in every normal test run.

#include <doctest/doctest.h>

#include "tests/fuzz/dsn_entry.hpp"
#include "tests/fuzz/mail_entry.hpp"
#include "tests/fuzz/replay.hpp"

using spoold::tests::replay;

TEST_CASE("fuzz corpus: mailbox") {
  CHECK(replay("mailbox", &spoold::tests::fuzz_mailbox) >= 10);
}
TEST_CASE("fuzz corpus: header") {
  CHECK(replay("header", &spoold::tests::fuzz_header) >= 10);
}
TEST_CASE("fuzz corpus: rules") {
  CHECK(replay("rules", &spoold::tests::fuzz_rules) >= 6);
}
TEST_CASE("fuzz corpus: verp") {
  CHECK(replay("verp", &spoold::tests::fuzz_verp) >= 8);
}
TEST_CASE("fuzz corpus: import file") {
  CHECK(replay("import_file", &spoold::tests::fuzz_import_file) >= 6);
}
TEST_CASE("fuzz corpus: reports") {
  CHECK(replay("dsn", &spoold::tests::fuzz_dsn) >= 7);
}
