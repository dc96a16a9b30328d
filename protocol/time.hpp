// Points in time as the whole program stores and passes them: milliseconds of UTC since 1970.
// The clock itself is read only in server/ (and in mains of tests); everything else takes a TimePoint
// argument.
#pragma once
#include <chrono>
#include <string>

namespace spoold {

using Duration = std::chrono::milliseconds;
using TimePoint = std::chrono::sys_time<Duration>;

/// "2026-11-22T10:31:07.123Z" (RFC 3339, UTC).
std::string rfc3339(TimePoint t);
/// "Sun, 22 Nov 2026 10:31:07 +0000" (RFC 5322 3.3), for Received: and Date:.
std::string rfc5322_date(TimePoint t);

}  // namespace spoold
