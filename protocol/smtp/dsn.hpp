// Delivery status notifications: multipart/report (RFC 6522) with a part for people, a
// message/delivery-status (RFC 3464) and the original message or its header. Pure: the time and everything
// else come in as arguments. Guarantees: CRLF line ends, no line of ours longer than 998 octets, no octet
// from a peer or a sender that could end a field or a part; 7-bit unless the original or an address is not
// (then 8bit and, with a UTF-8 address, RFC 6533 types). Who is told what, and when:
// server/office/report.hpp.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/smtp/dsn_request.hpp"
#include "protocol/smtp/stage.hpp"

namespace spoold::smtp {

/// Of RFC 3464 2.3.3. none: nothing is to be reported.
enum class DsnAction : std::uint8_t { none, failed, delayed, relayed, delivered, expanded };
const char* text(DsnAction);

struct Dsn {
  struct Recipient {
    std::string address;
    std::string orcpt;  // as it came (smtp/dsn_request.hpp); empty: not known
    DsnAction action = DsnAction::failed;
    LastReply last;
    bool expired = false;  // failed after its lifetime
  };
  std::string reporting_mta;  // our hostname
  std::string to;             // the reverse path of the original, or who is told instead
  std::string queue_id;       // of the original
  std::string envid;          // as it came, xtext
  std::string received_from;  // the name of the host it came from; empty: not known
  std::string original;       // the original from its begin on, as it went out
  bool whole = false;         // `original` is all of it, and is returned so; else its header
  bool of_report = false;     // the original is a report of ours: its reader is the postmaster
  TimePoint arrived{}, now{};
  TimePoint retry_until{};  // of those delayed
  std::vector<Recipient> recipients;
};

/// The whole message, header included.
std::string write(const Dsn& dsn);
const char* subject_of(const Dsn& dsn);

/// Whether a report that returns all of its original, where that is small enough, was asked for: RET (RFC
/// 3461 4.3) holds for failures only. `size` is that of the original.
bool returns_whole(Ret ret, std::uint64_t size);

/// Status: of RFC 3464 2.3.4 for what was heard: the enhanced status, else what the code and the stage say.
std::string status_of(const Dsn::Recipient& recipient);

}  // namespace spoold::smtp
