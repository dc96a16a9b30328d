// A list's identity and settings, and one member, as plain values. Stored by store/directory, changed by
// `spoolctl list set` (settings_table: name, parser and meaning of each key in one place).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/ids.hpp"
#include "protocol/list/preferences.hpp"
#include "protocol/mail/mailbox.hpp"
#include "protocol/time.hpp"

namespace spoold::list {

enum class Verp : std::uint8_t { never, personalized, every, always };
enum class VerpFormat : std::uint8_t { classic, signed_, opaque };
enum class Personalize : std::uint8_t { none, individual, full };
enum class ReplyTo : std::uint8_t { poster, list, address };
/// How somebody becomes a member by mail, and how a member leaves (wish.hpp).
enum class JoinBy : std::uint8_t { open, confirm, moderate, confirm_and_moderate };
enum class LeaveBy : std::uint8_t { open, confirm };
/// What a rule does with a post (policy.hpp). defer: the rules behind it decide. accept: they are not asked.
enum class Action : std::uint8_t { defer, accept, hold, reject, discard };
const char* text(Action);
std::optional<Action> parse_action(std::string_view text);
/// digest: in the form that the list's digest_format names. The order is that of the numbers on the disk.
enum class Delivery : std::uint8_t {
  regular,
  digest,
  nomail_by_user,
  nomail_by_admin,
  nomail_by_bounce,
  digest_mime,
  digest_plain
};
inline constexpr Delivery last_delivery = Delivery::digest_plain;
constexpr bool is_digest(Delivery d) {
  return d == Delivery::digest || d == Delivery::digest_mime || d == Delivery::digest_plain;
}

/// When failures disable a member (protocol/bounce/score.hpp).
struct BounceRules {
  bool processing = true;
  std::uint32_t threshold = 10;  // in half points
  Duration stale = std::chrono::hours(24 * 7);
  std::uint32_t warnings = 3;
  Duration interval = std::chrono::hours(24 * 7);
  bool probe = true;
  std::uint32_t guard = 10;  // percent of the members at one domain (bounce/guard.hpp); 0: no guard
};

enum class Dmarc : std::uint8_t { accept, munge, wrap, reject };
enum class DmarcWhen : std::uint8_t { unaligned, reject, quarantine, always };
enum class AuthorSignatures : std::uint8_t { keep, remove, rename };

/// What becomes of From and of authors' signatures: align.hpp.
struct AlignRules {
  Dmarc dmarc = Dmarc::munge;
  DmarcWhen when = DmarcWhen::unaligned;
  std::vector<std::string> domains, exempt;  // patterns, in lower case
  AuthorSignatures signatures = AuthorSignatures::keep;
  bool transparent = false;
};

/// Which parts of a post members do not get: filter.hpp.
struct FilterRules {
  std::vector<std::string> types, pass;  // lower case: "image/png", "image/*"
  std::vector<std::string> extensions;   // lower case, without the dot
  Action action = Action::reject;        // reject, hold or discard: of a post of which nothing is left
  bool collapse_alternatives = false;
  bool active() const {
    return !types.empty() || !pass.empty() || !extensions.empty() || collapse_alternatives;
  }
};

/// The texts of the settings that may have thousands of entries. They are kept apart from the others (store/directory), and
/// compiled once for each version (rules.hpp): whoever reads a list does not read them.
struct RuleTexts {
  std::string accept_these, hold_these, reject_these, discard_these;  // senders who are no members
  std::string bans, acceptable_aliases, header_rules;
  bool operator==(const RuleTexts&) const = default;
};

/// Who may post: policy.hpp.
struct Moderation {
  Action nonmembers = Action::reject;
  Action members = Action::defer;  // of those without an action of their own
  bool emergency = false;
  Action implicit_destination = Action::accept;  // accept, hold, reject or discard
  std::uint32_t max_recipients = 0;              // 0: any number
  std::vector<std::string> moderators;           // Mailbox texts; none: the owners
  std::string password;                          // what is kept of it (approved.hpp); empty: there is none
  Duration held_lifetime = std::chrono::hours(24 * 7);
  Action held_expiry = Action::discard;  // or reject
  RuleTexts rules;                       // empty unless they were asked for
  std::uint32_t rules_version = 0;       // rises with each change of them; 0: there are none
};

/// Where accepted posts are kept as files, and what their header says of it: archive.hpp.
struct ArchiveRules {
  std::string place;         // "maildir:DIR" or "mbox:FILE"; empty: none
  std::string list_archive;  // URL with $list_address and others; empty: no List-Archive
  std::string archived_at;   // URL with $hash in it; empty: no Archived-At
};

enum class DigestForm : std::uint8_t { mime, plain };
/// When what has come becomes a digest, for members whose delivery is a digest: digest.hpp.
struct DigestRules {
  std::uint64_t size = 30 << 10;  // octets of the posts; 0: they do not count
  Duration every = std::chrono::hours(24);
  DigestForm form = DigestForm::mime;
};

/// When a post is held because it fails for too many of those it was tried for first: "5% of 200".
struct BrakeRules {
  std::uint32_t percent = 0, of = 0;  // 0: never
};

/// What a complaint does to the member whose copy it returns, where that copy proves that it was his (bounce/complaint.hpp).
enum class OnComplaint : std::uint8_t { tell, nomail, leave };

struct Settings {
  std::string description;
  std::string info;                 // several lines: $info of letters
  std::vector<std::string> owners;  // Mailbox texts, at least one
  Verp verp = Verp::always;
  std::uint32_t verp_every = 0;  // N of every:N
  VerpFormat verp_format = VerpFormat::classic;
  std::uint8_t verp_accept = 0;  // forms of other list managers, by CopyForm (sender_forms.hpp)
  Personalize personalize = Personalize::none;
  std::uint64_t max_size = 0;  // 0: the server's limit
  bool own_posts = true;
  bool avoid_duplicates = false;
  BounceRules bounces;
  BrakeRules brake;
  OnComplaint complaint = OnComplaint::tell;
  JoinBy subscribe = JoinBy::confirm;
  LeaveBy unsubscribe = LeaveBy::confirm;
  std::string language = "en";  // of letters
  Moderation moderation;
  // Of what members get (cook.hpp):
  std::string subject_prefix, header, footer;
  ReplyTo reply_to = ReplyTo::poster;
  std::string reply_to_address;  // of ReplyTo::address: Mailbox text
  bool sender_header = false;
  std::vector<std::string> remove_headers;  // names; "X-Spam-*": all that begin so
  bool anonymous = false;
  bool one_click = false;  // List-Unsubscribe differs between copies (leave_token.hpp)
  AlignRules align;
  bool dkim2 = false;  // each copy has a DKIM2 signature of its own (auth/dkim2_make.hpp)
  ArchiveRules archive;
  DigestRules digest;
  FilterRules filter;
  std::vector<std::string> include_lists,
      exclude_lists;  // Mailbox texts of lists of this server: store/roster.hpp
};

struct List {
  ListId id = 0;
  std::string local, domain;  // lower case: test, lists.example
  Settings settings;
  TimePoint created{};
  std::uint64_t roster_version = 0;  // increases with every change of members
  std::uint32_t last_post = 0;       // number of the last post given out
  std::uint64_t members = 0;
  std::string address() const { return local + "@" + domain; }
};

/// Why this must not be a member's name (one line of UTF-8, at most 200 octets); nothing: it may.
std::optional<std::string> member_name_fault(std::string_view name);

struct Member {
  MemberId id = 0;
  std::string address;  // Mailbox text, local part's case as given
  std::string name;
  Delivery delivery = Delivery::regular;
  TimePoint joined{};
  std::optional<Action> moderation = {};  // of his posts; nothing: what the list says of its members
  bool one_copy = false;  // of a post to several lists: not from this one when another one sends it to him
  Preferences preferences = {};  // his own for this list: what counts may also come from his user (layered())
  PersonId person = 0;           // whose verified address it is; 0: nobody has said so. The store keeps it
};

/// How one post goes out; decided once, in the accepting transaction, with the post's own number. The table
/// is in protocol/README.md.
enum class Copies : std::uint8_t { bulk, each_plain, each_verp };
Copies copies_for(const Settings& settings, std::uint32_t post_number);

/// Settings of which each is right and which cannot stand together: one sentence.
std::optional<std::string> misfit(const Settings& settings);

}  // namespace spoold::list
