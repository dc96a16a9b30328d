#include <doctest/doctest.h>

#include "conf/load.hpp"

using namespace spoold::conf;

TEST_CASE("[[dnsbl]]: the answers that are listings, as ranges; the usual ones when none are written") {
  const auto settings = parse(
      "[[dnsbl]]\nzone = \"Zen.example.org\"\n[[dnsbl]]\nzone = \"b.example.org\"\nanswers = [\"127.0.0.2\", "
      "\"127.0.1.0-127.0.1.9\"]\n"
      "action = \"mark\"\n",
      "t");
  REQUIRE(settings);
  REQUIRE(settings->dnsbls.size() == 2);
  const Dnsbl& usual = settings->dnsbls[0];
  CHECK(usual.zone == "zen.example.org");
  CHECK(usual.action == Dnsbl::Action::reject);
  REQUIRE(usual.answers.size() == 1);
  CHECK(usual.answers[0].first == std::array<std::uint8_t, 4>{127, 0, 0, 2});
  CHECK(usual.answers[0].last == std::array<std::uint8_t, 4>{127, 0, 0, 11});
  const Dnsbl& own = settings->dnsbls[1];
  REQUIRE(own.answers.size() == 2);
  CHECK(own.answers[0].first == own.answers[0].last);
  CHECK(own.answers[1].last == std::array<std::uint8_t, 4>{127, 0, 1, 9});
  CHECK(own.action == Dnsbl::Action::mark);
}

TEST_CASE("[[dnsbl]]: what is wrong is named with its place") {
  const auto fault = [](const char* text) {
    const auto settings = parse(text, "t");
    return settings ? std::string() : settings.error().front().text();
  };
  for (const char* range : {"127.0.0.11-127.0.0.2", "127.0.0", "127.0.0.2-", "::1", "127.0.0.0/8", ""})
    CHECK(fault(("[[dnsbl]]\nzone = \"a.example\"\nanswers = [\"" + std::string(range) + "\"]\n").c_str())
              .find("is not a range of addresses") != std::string::npos);
  CHECK(fault("[[dnsbl]]\nzone = \"a.example\"\n[[dnsbl]]\nzone = \"A.example\"\n").find("t:4:") == 0);
  CHECK(fault("[[dnsbl]]\naction = \"mark\"\n").find("zone") != std::string::npos);
  CHECK(fault("[[dnsbl]]\nzone = \"a.example\"\naction = \"drop\"\n").find("one of") != std::string::npos);
}
