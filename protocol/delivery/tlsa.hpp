// A TLSA record (RFC 6698 2.1) as far as mail uses it (RFC 7672).
#pragma once
#include <cstdint>
#include <string>

namespace spoold::delivery {

struct Tlsa {
  std::uint8_t usage = 0, selector = 0, matching = 0;
  std::string data;
  bool operator==(const Tlsa&) const = default;
};

/// RFC 7672 3.1: usages 2 (DANE-TA) and 3 (DANE-EE), known selectors and digests of the right length.
bool usable(const Tlsa&);

}  // namespace spoold::delivery
