// Reports on final failures: multipart/report (RFC 6522) with a part for people, a message/delivery-status
// (RFC 3464) and the header of the original message. Pure: the time and everything else come in as arguments.
// Guarantees: CRLF line ends, no line longer than 998 octets, no octet from a peer or a sender that could end
// a field or a part; 7-bit unless the original header or an address is not (then 8bit and, with a UTF-8
// address, RFC 6533 types).
#pragma once
#include <string>
#include <vector>

#include "protocol/delivery/outcome.hpp"

namespace spoold::mail {

inline constexpr const char* subject_of_reports = "Undelivered mail returned to sender";

struct FailureReport {
  struct Recipient {
    std::string address;
    LastReply last;
    bool expired = false;  // given up after its lifetime
  };
  std::string reporting_mta;    // our hostname
  std::string to;               // the reverse path of the original
  std::string queue_id;         // of the original
  std::string original_header;  // its begin: what follows the blank line is left out
  TimePoint arrived{}, now{};
  std::vector<Recipient> failed;
};

/// The whole message, header included.
std::string write(const FailureReport& report);

/// Status: of RFC 3464 2.3.4 for what was heard: the enhanced status, else what the code and the stage say.
std::string status_of(const FailureReport::Recipient& recipient);

}  // namespace spoold::mail
