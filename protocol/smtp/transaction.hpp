// A mail transaction as the server side sees it between MAIL and the reply to the end of data (RFC 5321 3.3),
// and what an accepted RCPT stands for. Plain values: replaced whole, never patched (server_dialog.hpp).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/list/settings.hpp"

namespace spoold::smtp {

/// One accepted forward path.
struct Recipient {
  enum class Kind : std::uint8_t {
    relay,   // goes to `address` itself
    alias,   // goes to `targets`
    owners,  // a list's address that its owners answer; goes to `targets`
    post,    // the posting address of `list`
    bounce,  // a report about the member `targets[0]` (empty address: not known) of `list`
  };
  Kind kind = Kind::relay;
  std::string address;  // as the client gave it
  list::ListId list = 0;
  std::vector<std::string> targets;
  bool operator==(const Recipient&) const = default;
};

struct Transaction {
  bool open = false;         // MAIL was accepted
  std::string reverse_path;  // empty: <>
  std::uint64_t declared_size = 0;
  bool eight_bit = false;  // BODY=8BITMIME
  std::vector<Recipient> recipients;
  bool operator==(const Transaction&) const = default;
};

}  // namespace spoold::smtp
