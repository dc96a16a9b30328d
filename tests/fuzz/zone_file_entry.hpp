// What the fuzzer of master files runs: any text is a zone or a fault with its line, and any question has an answer.
#pragma once
#include <algorithm>
#include <string_view>

#include "protocol/dns/zone_file.hpp"
#include "tests/fuzz/input.hpp"

namespace spoold::tests {

inline void fuzz_zone_file(std::string_view data) {
  const auto zone = dns::ZoneFile::parse(data);
  if (!zone) {
    const auto lines = static_cast<std::size_t>(std::count(data.begin(), data.end(), '\n')) + 1;
    must(zone.error().line >= 1 && zone.error().line <= lines && !zone.error().what.empty());
    return;
  }
  for (const char* name : {"", "a", "b.a", "x.y.a", "*.a", "example.com", "www.example.com"})
    for (const dns::Type type : {dns::Type::a, dns::Type::cname, dns::Type::mx, dns::Type::txt}) {
      const dns::Answer answer = zone->answer({name, type});
      must((answer.status == dns::Answer::Status::ok) == !answer.records.empty());
      for (const auto& rdata : answer.records) {
        if (type == dns::Type::a) must(rdata.size() == 4 || dns::parse_address(type, rdata) == std::nullopt);
      }
    }
}

}  // namespace spoold::tests
