// What an address is at this server (lists.md A1): asked at each RCPT.
//
// In this order: an alias of the configuration; an address of a list (post, or one of its other addresses) or
// of a list domain (postmaster, abuse, bounces+...); a recipient of a [[domain]]; anything, for a client that
// may relay; else refused. Guarantees: aliases are followed to their end, cycles are cut; letters are
// compared without regard to case. Failures: 550 5.1.1 no such address at a domain of ours; 550 5.7.1
// relaying denied; 552 5.3.4 the declared size is over the list's limit; 550 5.1.6 an alias that leads
// nowhere. See also: protocol/list/addresses.hpp (syntax), protocol/list/verp.hpp, acceptance.hpp (what
// becomes of it).
#pragma once
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <tl/expected.hpp>

#include "conf/settings.hpp"
#include "protocol/list/addresses.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/mailbox.hpp"
#include "protocol/smtp/transaction.hpp"
#include "protocol/time.hpp"
#include "store/directory/directory.hpp"
#include "store/txn.hpp"

namespace spoold::server {

class AddressBook {
 public:
  AddressBook(const conf::Settings& settings, list::Hmac hmac);

  using Answer = tl::expected<smtp::Recipient, smtp::Reply>;
  /// `path` none: <postmaster>. `may_relay`: the client is in a trusted network.
  Answer look_up(const store::Read& read, const std::optional<Mailbox>& path,
                 const smtp::Transaction& transaction, bool may_relay, TimePoint now) const;

 private:
  struct Expansion {
    std::vector<std::string> targets;
    std::vector<list::ListId> lists;
    std::vector<std::string> seen;  // keys of aliases already followed
  };
  using Found = std::optional<Answer>;

  const std::vector<std::string>* alias(const std::string& key) const;
  void expand(const store::Read& read, const std::string& address, Expansion& into) const;
  Answer postmaster(const store::Read& read) const;
  Found at_list_domain(const store::Read& read, const Mailbox& path, const smtp::Transaction& transaction,
                       TimePoint now) const;
  Answer bounce(const store::Read& read, const Mailbox& path, const list::SubAddress& sub,
                const std::optional<list::List>& list, TimePoint now) const;
  Answer owners(const store::Read& read, const std::string& address,
                const std::vector<list::List>& lists) const;
  bool relays(std::string_view domain) const;

  const conf::Settings& settings_;
  list::Hmac hmac_;
  std::unordered_map<std::string, std::vector<std::string>> aliases_;  // by Mailbox key
};

}  // namespace spoold::server
