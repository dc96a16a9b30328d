// What a complaint says: somebody called a post spam, and his provider reports it in the Abuse Reporting Format
// (RFC 5965), or in the form that Microsoft's programme has (X-HmXmrOriginalRecipient).
//
// The member is named by the envelope sender of his copy (list/sender_forms.hpp), which stands in the report or in the
// post that it returns; never by To, which any forger writes. Guarantees: pure, linear, bounded as bounce scanning is;
// anybody can send a complaint, so what it says is evidence and no proof. Proof is an address with a tag of this server in the
// copy that it returns (`tagged`): only who has the copy knows it. See also: scan.hpp.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/time.hpp"

namespace spoold::bounce {

struct Complaint {
  std::string feedback_type;       // lower case: "abuse", "fraud", "opt-out", "not-spam", ...
  std::string original_recipient;  // as the report says; empty: withheld
  std::string member, list;        // addresses; empty: the report does not show them
  std::string source_ip;
  /// Of the copy that the report returns: mailto addresses of List-Unsubscribe, envelope senders. Whether one holds a tag of this
  /// server is for its address book to say. At most 8.
  std::vector<std::string> tagged;
  std::optional<TimePoint> arrived;
};

/// Nothing: the mail is no complaint. `mail` as for scan().
std::optional<Complaint> scan_complaint(std::string_view mail);

}  // namespace spoold::bounce
