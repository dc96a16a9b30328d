// The copy that a report returns, or its header (message/rfc822 or text/rfc822-headers), as evidence of what was sent.
// Guarantees: as of bounce scanning; pure. See also: complaint.hpp, which reads more forms.
#pragma once
#include <string>
#include <string_view>

namespace spoold::bounce {

/// The fields of the first returned copy, with their line ends; empty: the report returns none. `mail` as for scan().
std::string returned_header(std::string_view mail);

}  // namespace spoold::bounce
