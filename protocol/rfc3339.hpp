// Reading the times that time.hpp's rfc3339() writes, and every other form of RFC 3339 5.6.
#pragma once
#include <optional>
#include <string_view>

#include "protocol/time.hpp"

namespace spoold {

/// "2026-11-22T10:31:07Z", also with a fraction and with an offset such as +01:00; nothing when it is no such time.
std::optional<TimePoint> parse_rfc3339(std::string_view text);

}  // namespace spoold
