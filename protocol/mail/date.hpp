// Reading a date of a header (RFC 5322 3.3, and the obsolete forms of 4.3: two digits of a year, names of zones), with
// comments and a missing day of the week. Nothing: it is no date.
#pragma once
#include <optional>
#include <string_view>

#include "protocol/time.hpp"

namespace spoold::mail {

std::optional<TimePoint> read_date(std::string_view value);

}  // namespace spoold::mail
