// What a bounce says: which addresses failed, for good or for now. RFC 3464 first, as mail systems really write it;
// then Exim's X-Failed-Recipients; then the formats that programs had before or beside it (formats.hpp).
//
// Guarantees: an address comes from what the report says itself, never from the message that it returns; ordinary mail,
// answers of vacation programs, receipts, digests and posts that forward or quote a bounce name nobody. Each address
// comes once, spelled as in the report. Bounded: a message that mime::parts_of refuses names nobody; at most 1,000
// addresses. No exceptions, linear. Whether a failure counts against a member is not decided here: smtp/reply_class.hpp
// judges the diagnostic.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "protocol/smtp/reply.hpp"

namespace spoold::bounce {

struct Failure {
  std::string address;
  bool permanent = true;
  smtp::EnhancedStatus status;  // Status of the report; not given: 0.0.0
  std::string diagnostic;       // what the remote said, in one line; empty when the report does not say
  std::string remote;           // Remote-MTA, as written
};

struct Scan {
  std::string format;  // how it was recognised: "rfc3464", "exim", "qmail"; empty: it is no bounce
  std::vector<Failure> failures;
  /// Nothing failed for good, and no person wrote it: a warning of a delay, a report of a delivery, the answer of a vacation
  /// program (RFC 3834), a receipt.
  bool harmless = false;
};

constexpr std::size_t failures_at_most = 1000;

/// `mail`: a whole message with CRLF line ends (LF alone is understood too).
Scan scan(std::string_view mail);

}  // namespace spoold::bounce
