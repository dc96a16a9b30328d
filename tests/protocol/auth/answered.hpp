// Checks of protocol/auth against a master file in the place of the DNS.
#pragma once
#include <doctest/doctest.h>

#include <string_view>

#include "protocol/dns/zone_file.hpp"

namespace spoold::tests {

inline dns::ZoneFile zone_of(std::string_view text) {
  auto zone = dns::ZoneFile::parse(text);
  REQUIRE_MESSAGE(zone,
                  (zone ? std::string() : std::to_string(zone.error().line) + ": " + zone.error().what));
  return *zone;
}

/// Runs a check to its end; it may take `most` questions.
template <class Check>
const Check& answered(Check& check, const dns::ZoneFile& zone, std::size_t most = 200) {
  std::size_t asked = 0;
  while (!check.done()) {
    const auto questions = check.ask();
    REQUIRE(!questions.empty());
    asked += questions.size();
    REQUIRE(asked <= most);
    for (const dns::Question& question : questions) check.answered(question, zone.answer(question));
  }
  return check;
}

}  // namespace spoold::tests
