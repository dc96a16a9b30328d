// A mail transaction as the server side sees it between MAIL and the reply to the end of data (RFC 5321 3.3),
// and what an accepted RCPT stands for. Plain values: replaced whole, never patched (server_dialog.hpp).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/ids.hpp"
#include "protocol/smtp/dsn_request.hpp"

namespace spoold::smtp {

/// One accepted forward path.
struct Recipient {
  enum class Kind : std::uint8_t {
    relay,   // goes to `address` itself
    alias,   // where it goes is looked up at the end of the data
    owners,  // an address of the one of `lists`, or of a domain with these lists, that their owners answer
    post,    // the posting address of lists[0]
    bounce,  // a report about the member `targets[0]` (may be empty: not known) of lists[0]
  };
  Kind kind = Kind::relay;
  std::string address;               // as the client gave it
  std::vector<std::string> targets;  // of a bounce
  std::vector<list::ListId> lists;
  DsnOfRecipient dsn;
  bool operator==(const Recipient&) const = default;
};

struct Transaction {
  bool open = false;         // MAIL was accepted
  std::string reverse_path;  // empty: <>
  std::uint64_t declared_size = 0;
  bool eight_bit = false;  // BODY=8BITMIME
  DsnOfMessage dsn;
  std::vector<Recipient> recipients;
  bool operator==(const Transaction&) const = default;
};

}  // namespace spoold::smtp
