// message/delivery-status (RFC 3464 2) as it is found in the wild: blank lines missing between the recipients, or inside
// the fields of one; fields in any order; comments, quotes and angle brackets around values; address types missing;
// Actions that RFC 3464 does not have ("failure", "error", "expired"). Linear, bounded; pure.
//
// Which address: Original-Recipient, which is the one that the list knows, else Final-Recipient, else
// X-Actual-Recipient; the first that is an address.
#pragma once
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/bounce/scan.hpp"

namespace spoold::bounce {

struct StatusReport {
  std::vector<Failure> failures;
  bool recipients = false;  // at least one group said what became of its recipient, well or badly
  bool nameless = false;    // a recipient failed whose address could not be read
};

StatusReport read_delivery_status(std::string_view text);

/// Names in lower case and values, folding undone; a blank line comes as an empty name. At most 4,096.
using Fields = std::vector<std::pair<std::string, std::string>>;
Fields fields_of(std::string_view text);

}  // namespace spoold::bounce
