#include "protocol/list/brake.hpp"

#include <doctest/doctest.h>

using namespace spoold::list;

TEST_CASE("brake: its setting") {
  CHECK(print_brake({}) == "off");
  CHECK(print_brake(*read_brake("off")) == "off");
  CHECK(print_brake(*read_brake("5% of 200")) == "5% of 200");
  for (const char* wrong : {"", "on", "5", "5%", "5% of", "5% of x", "0% of 200", "100% of 200", "5% of 9",
                            "5 % of 200", "5% of 10001", "5% of 200 ", "-5% of 200"})
    CHECK_MESSAGE(!read_brake(wrong), wrong);
}

TEST_CASE("brake: more than X % of N, among the first N") {
  const BrakeRules rules{5, 200};
  CHECK_FALSE(brakes(rules, 0, 10));
  CHECK(brakes(rules, 0, 11));
  CHECK(brakes(rules, 199, 11));
  CHECK_FALSE(brakes(rules, 200, 100));
  CHECK_FALSE(brakes({}, 0, 100));
}
