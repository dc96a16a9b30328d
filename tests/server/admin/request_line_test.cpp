// Hostile lines at the door of the control socket.
#include "server/admin/request_line.hpp"

#include <doctest/doctest.h>

using namespace spoold::server::admin;

namespace {

std::string nested(std::size_t depth) {
  return R"({"verb":"list-set","list":"a@b.example","settings":{"subject_prefix":"x"},"z":)" +
         std::string(depth, '[') + std::string(depth, ']') + "}";
}

}  // namespace

TEST_CASE("a request is nested at most 16 deep") {
  CHECK(parse_request(nested(15)).has_value());
  for (const std::size_t depth : {16u, 17u, 1000u, 400'000u}) {
    const auto parsed = parse_request(nested(depth));
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error() == "a request is nested at most 16 deep");
  }
  // Without its end, and as objects.
  CHECK_FALSE(parse_request("{\"z\":" + std::string(400'000, '[')).has_value());
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK_FALSE(parse_request(objects).has_value());
}

TEST_CASE("a request holds at most 500,000 values") {
  const auto with = [](std::size_t count) {
    std::string line = R"({"verb":"import","z":[0)";
    for (std::size_t i = 1; i < count; ++i) line += ",0";
    return line + "]}";
  };
  CHECK(parse_request(with(400'000)).has_value());
  CHECK(parse_request(with(600'000)).error() == "a request holds at most 500000 values");
}

TEST_CASE("a request is an object") {
  for (const char* wrong : {"", "[]", "1", "{", "{}x", "\"x\"", "null", "{\"a\"}", "{\"a\":\"\xff\"}"})
    CHECK(parse_request(wrong).error() == "a request is one JSON object in one line");
  CHECK(parse_request("{}").has_value());
  CHECK(parse_request(" {\"verb\": \"ping\"}\r").has_value());
}

TEST_CASE("only requests with a file in them may be longer than 1 MiB; the verb is known from the begin") {
  CHECK(longest(R"({"verb":"import","list":)") == 64u << 20);
  CHECK(longest("  { \"verb\" : \"post\", ") == 64u << 20);
  for (const char* other : {R"({"verb":"list-set")", R"({"list":"a","verb":"import"})", R"({"verb":"import)",
                            R"({"verb":"imp\u006frt")", "", "{", "[\"import\"]", "import"})
    CHECK(longest(other) == 1u << 20);
  CHECK(only_reads(R"({"verb":"stats"})"));
  CHECK(only_reads(R"({"verb":"destinations"})"));
  CHECK_FALSE(only_reads(R"({"verb":"wake","host":"*"})"));
  CHECK_FALSE(only_reads(R"({"x":1,"verb":"stats"})"));
}
