// The addresses in From, Sender, Reply-To, To, Cc (RFC 5322 3.4), read the tolerant way: comments, groups,
// routes, blanks inside an address, encoded words and unquoted dots or @ in display names are all understood.
// Guarantees: linear in the length of the value; nothing of a malformed element is guessed, the others are
// still read.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/mail/header.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::mail {

struct NameAddr {
  std::string name;  // display name: quotes and folding undone, encoded words as they are; may be empty
  Mailbox mailbox;
};

struct AddressList {
  std::vector<NameAddr> addresses;
  std::vector<std::string> faults;  // one sentence for each element that is no address
};
AddressList address_list(std::string_view value);

/// Who wrote the message: its From field, when there is exactly one with exactly one address.
struct Author {
  enum class Kind { one, none, several_fields, several_addresses, malformed } kind = Kind::none;
  std::optional<NameAddr> address;  // when one
};
Author author(const Header&);

/// The addresses of all fields of these names, such as {"To", "Cc"}.
std::vector<Mailbox> mailboxes(const Header&, const std::vector<std::string_view>& names);

}  // namespace spoold::mail
