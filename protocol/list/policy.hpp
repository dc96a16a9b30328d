// Who may post (README.md of protocol/): judged after the header is known, answered at the end of data.
//
// The sender is the author in From, then the envelope sender with BATV's prvs= undone; never Reply-To or
// Sender, which a stranger can fill with a member's address. The rules are asked in this order, and the first that decides ends
// it: null reverse path and automatic mail, loop, donotexplode (DKIM2), From, the form of the header, bans, size, the moderator password, emergency, the member's own action (moderation), the list's
// own rules about senders who are no members, nonmembers; and where these defer to the rules behind: destination, number of
// recipients, header rules. Each refusal is a 5xx reply with a sentence that the poster can act on. Pure: whether somebody is
// a member is asked of a function.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "protocol/list/rules.hpp"
#include "protocol/list/settings.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/smtp/reply.hpp"

namespace spoold::list {

/// A post, read once however many lists it goes to: what a header says costs as much as the header is long, and
/// a stranger chooses both. `header` and `reverse_path` must live longer.
class Post {
 public:
  /// `reverse_path`: Mailbox text; empty: <>. `size`: octets of the content as received.
  Post(const mail::Header& header, std::string_view reverse_path, std::uint64_t size = 0);

  /// The post has been through this list already.
  bool has_been_through(const List& list) const;
  /// The Mailbox keys in To, Cc, Resent-To and Resent-Cc, sorted.
  const std::vector<std::string>& addressed() const;

  const mail::Header& header;
  const std::string_view reverse_path;
  const std::uint64_t size;
  bool automatic = false;  // Auto-Submitted says so
  const char* doubled =
      nullptr;  // a field that may stand once and stands more often (RFC 5322 3.6, RFC 2045 3); but From
  std::size_t received = 0;  // Received fields
  mail::Author author;
  std::string sender;  // Mailbox key of the reverse path, BATV undone; empty: no address

 private:
  using Names = std::unordered_set<std::string>;
  Names list_ids_, list_posts_, been_there_;  // what these fields name, without blanks, in lower case
  mutable std::optional<std::vector<std::string>> addressed_;
};

enum class Outcome : std::uint8_t { accept, hold, reject, discard };
const char* text(Outcome);

struct Judgement {
  /// Which rule decided: null_sender, automatic, loop, received, donotexplode, banned, max_size, from, form, approved, emergency, member_moderation (of one
  /// member, or of the list), accept_these, hold_these, reject_these, discard_these, nonmembers, implicit_destination,
  /// max_recipients, header_rules; milter: a filter wants it held; member: none of them.
  const char* rule = "";
  Outcome outcome = Outcome::accept;
  std::string reason;                  // in words; empty: accepted
  std::optional<smtp::Reply> refusal;  // of reject
  std::string
      poster;  // Mailbox key: the member whom From or the envelope names by one of his addresses, else the author
  bool member = false;  // the poster is a member
};

/// A member, whatever his delivery mode. `moderation`: the action for his posts; none: the list's member_moderation.
struct Membership {
  std::optional<Action> moderation;
  std::string key = {};  // he is a member with another address of his: its Mailbox key
};
using MemberOf = std::function<std::optional<Membership>(const std::string& key)>;

/// What no list sends on, whoever wants it to: a post without exactly one author, or with two of a field that may stand once.
std::optional<smtp::Reply> form_refusal(const Post& post);

/// What is known besides the list's own rules.
struct Besides {
  bool approved = false;                               // the post holds the moderator password (approved.hpp)
  const AddressPatterns* banned_everywhere = nullptr;  // [lists] bans of the configuration
  bool do_not_explode = false;  // an earlier hop asks that it goes to one recipient (auth::dkim2_requests)
};
/// `rules`: those of the list.
Judgement judge(const List& list, const Rules& rules, const Post& post, const MemberOf& member_of,
                const Besides& besides = {});

/// `prvs=1234abcdef=anna@a.example` -> `anna@a.example` (draft-levine-smtp-batv); anything else stays as it
/// is.
std::string without_batv(std::string_view address);

constexpr std::size_t max_received = 100;

}  // namespace spoold::list
