// What an address is at this server: asked at each RCPT.
//
// In this order: an alias of the configuration; an address of a list (post, or one of its other addresses) or
// of a list domain (postmaster, abuse, bounces+...); a recipient of a [[domain]]; anything, for a client that
// may relay; else refused. An envelope sender that a list has banned may not post to it. Guarantees: aliases are followed to their end, cycles are cut; letters are
// compared without regard to case. Failures: 550 5.1.1 no such address at a domain of ours; 550 5.7.1
// relaying denied, or a local part with a further address in it (`%`, `!`, `@`) that a stranger wants passed
// on; 552 5.3.4 the declared size is over the list's limit; 550 5.1.6 an alias that leads nowhere; 550 5.7.1 a sender who is
// banned.
//
// A stranger may send RCPT as fast as he can, so a RCPT costs little however many lists and owners are behind
// it: look_up() only finds out whether somebody is there. targets() follows all of it, once, at the end of the
// data. See also: protocol/list/addresses.hpp (syntax), protocol/list/verp.hpp, acceptance.hpp (what
// becomes of it).
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <tl/expected.hpp>

#include "conf/routes.hpp"
#include "conf/settings.hpp"
#include "protocol/list/addresses.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/mailbox.hpp"
#include "protocol/smtp/transaction.hpp"
#include "protocol/time.hpp"
#include "server/office/rule_book.hpp"
#include "store/directory/directory.hpp"
#include "store/txn.hpp"

namespace spoold::server {

class AddressBook {
 public:
  AddressBook(std::shared_ptr<const conf::Settings> settings, list::Hmac hmac);

  const conf::Settings& settings() const { return *settings_; }
  /// Senders who can neither post to a list nor join one ([lists] bans).
  const list::AddressPatterns& bans() const { return bans_; }
  /// By the configuration or by the list: a Mailbox key.
  bool is_banned(const store::Read& read, const list::List& list, const std::string& key) const;
  /// The rules of lists about who may post.
  const RuleBook& rules() const { return rules_; }

  using Answer = tl::expected<smtp::Recipient, smtp::Reply>;
  /// `path` none: <postmaster>. `may_relay`: the client is in a trusted network.
  Answer look_up(const store::Read& read, const std::optional<Mailbox>& path,
                 const smtp::Transaction& transaction, bool may_relay, TimePoint now) const;

  /// Where mail to a recipient that is an alias or owners goes in the end, each address and each list once.
  struct Targets {
    std::vector<std::string> addresses;
    std::vector<list::ListId> lists;  // as a post; none for owners
  };
  Targets targets(const store::Read& read, const smtp::Recipient& recipient) const;

  /// Who gets a report to this sender's address: itself; who answers it, where it is an alias or an owners'
  /// address of ours; nobody, where it is a list or an address of ours that does not exist.
  std::vector<std::string> reported_to(const store::Read& read, const std::string& sender,
                                       TimePoint now) const;
  /// The addresses that mail to a list's owners reaches.
  std::vector<std::string> owners_of(const store::Read& read, list::ListId list) const;
  /// Those who decide about held posts: the moderators; where there are none, the owners.
  std::vector<std::string> moderators_of(const store::Read& read, const list::List& list) const;
  /// The address that takes a moderator's answer about a held post.
  std::string moderation_address(const list::List& list, std::uint64_t post) const;
  /// The post holds the moderator password of the list.
  bool approves(const list::List& list, const mail::Header& post) const;
  /// Who answers <postmaster>.
  std::vector<std::string> postmasters(const store::Read& read, TimePoint now) const;

  /// Role addresses of a domain reach the owners of so many of its lists.
  static constexpr std::size_t lists_of_role = 20;

 private:
  class Expansion;
  using Found = std::optional<Answer>;

  const std::vector<std::string>* alias(const std::string& key) const;
  const std::vector<std::string>* postmaster_alias() const;
  Answer postmaster(const store::Read& read) const;
  Found at_list_domain(const store::Read& read, const Mailbox& path, const smtp::Transaction& transaction,
                       TimePoint now) const;
  Found of_other_manager(const store::Read& read, const Mailbox& path) const;
  Answer bounce(const store::Read& read, const Mailbox& path, const list::SubAddress& sub,
                const std::optional<list::List>& list, TimePoint now) const;
  Answer token(const store::Read& read, const Mailbox& path, const list::SubAddress& sub,
               TimePoint now) const;
  Answer leave(const store::Read& read, const Mailbox& path, const list::SubAddress& sub,
               const std::optional<list::List>& list) const;
  Found moderation(const store::Read& read, const Mailbox& path, const list::SubAddress& sub) const;
  Answer owners(const store::Read& read, const std::string& address, std::vector<list::ListId> lists) const;

  const std::shared_ptr<const conf::Settings> settings_;
  const conf::Routes routes_;
  list::Hmac hmac_;
  RuleBook rules_;
  const list::AddressPatterns bans_;
  std::unordered_map<std::string, std::vector<std::string>> aliases_;  // by Mailbox key
};

}  // namespace spoold::server
