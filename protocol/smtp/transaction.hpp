// A mail transaction as the server side sees it between MAIL and the reply to the end of data (RFC 5321 3.3),
// and what an accepted RCPT stands for. Plain values: replaced whole, never patched (server_dialog.hpp).
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "protocol/ids.hpp"
#include "protocol/smtp/dsn_request.hpp"

namespace spoold::smtp {

/// What an accepted forward path stands for. The dialog only carries it: a new kind of address is an alternative here,
/// found by server/office/address_book, and its mail is decided by server/office/acceptance.
namespace to {
struct Relay {  // the address itself
  bool operator==(const Relay&) const = default;
};
struct Alias {  // where it leads is looked up at the end of the data
  bool operator==(const Alias&) const = default;
};
struct Owners {  // those of these lists, never none: of the one that is named, or of some at a domain
  std::vector<list::ListId> lists;
  bool operator==(const Owners&) const = default;
};
struct Post {  // the posting address of a list
  list::ListId list = 0;
  std::uint64_t members = 0;  // at RCPT: what the post expands to
  bool operator==(const Post&) const = default;
};
struct
    Bounce {  // a report about a copy for this member; its address is empty where the report itself must say it
  list::ListId list = 0;
  std::string member;
  bool operator==(const Bounce&) const = default;
};
struct Probe {  // a report about a probe to a member, which this token names
  list::ListId list = 0;
  std::string token;
  bool operator==(const Probe&) const = default;
};
/// What somebody asks of a list: `role` is that of the address ("join", "leave", "confirm", "request").
struct Command {
  list::ListId list = 0;
  std::string role = {};
  std::string token = {};    // of confirm
  bool undelivered = false;  // a report about the letter that carried the token
  bool operator==(const Command&) const = default;
};
struct
    Leave {  // the wish of this member to leave, whatever the mail says; its address is empty when he has left before
  list::ListId list = 0;
  list::MemberId member = 0;
  std::string address;  // Mailbox key
  bool operator==(const Leave&) const = default;
};
struct Moderation {  // a moderator's answer about a held post
  list::ListId list = 0;
  std::uint64_t post = 0;
  bool operator==(const Moderation&) const = default;
};
}  // namespace to
using Resolved = std::variant<to::Relay, to::Alias, to::Owners, to::Post, to::Bounce, to::Probe, to::Command,
                              to::Leave, to::Moderation>;

/// One accepted forward path.
struct Recipient {
  std::string address;  // as the client gave it
  Resolved to = {};
  DsnOfRecipient dsn = {};

  template <class Kind>
  bool is() const {
    return std::holds_alternative<Kind>(to);
  }
  bool operator==(const Recipient&) const = default;
};

struct Transaction {
  bool open = false;         // MAIL was accepted
  std::string reverse_path;  // empty: <>
  std::uint64_t declared_size = 0;
  bool eight_bit = false;    // BODY=8BITMIME
  bool binary = false;       // BODY=BINARYMIME (RFC 3030)
  bool utf8 = false;         // SMTPUTF8 (RFC 6531)
  bool require_tls = false;  // REQUIRETLS (RFC 8689)
  DsnOfMessage dsn;
  std::vector<Recipient> recipients;
  bool operator==(const Transaction&) const = default;
};

}  // namespace spoold::smtp
