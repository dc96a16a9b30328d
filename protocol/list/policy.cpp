#include "protocol/list/policy.hpp"

#include <algorithm>
#include <array>

#include "protocol/list/cook.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::list {

namespace {

using Kind = mail::Author::Kind;

/// What a List-Id, List-Post or X-BeenThere field names: each <...> of it, and the field as a whole. Without
/// blanks, in lower case. No list has a name of more than 2 KB: the rest of a longer field is not read.
void names(std::string_view value, std::unordered_set<std::string>& into) {
  std::string flat;
  for (const char c : value.substr(0, 2048))
    if (!mail::is_space(c)) flat += mail::lower(c);
  std::size_t open = std::string::npos;  // the last '<' so far: a name holds none
  for (std::size_t at = 0; at < flat.size(); ++at) {
    if (flat[at] == '<') open = at;
    if (flat[at] != '>' || open == std::string::npos) continue;
    into.insert(flat.substr(open + 1, at - open - 1));
    open = std::string::npos;
  }
  into.insert(std::move(flat));
}

const char* no_author(Kind kind) {
  switch (kind) {
    case Kind::one:
      break;
    case Kind::none:
      return "the message has no address in From";
    case Kind::several_fields:
      return "the message has more than one From field";
    case Kind::several_addresses:
      return "the message has more than one address in From";
    case Kind::malformed:
      return "the From field of the message is not an address";
  }
  return nullptr;
}

/// Many a receiver refuses a message with two of one of these, and no two programs show the same one of them.
constexpr std::array<std::string_view, 12> single = {
    "Date",        "Sender",     "Reply-To", "To",           "Cc",           "Message-ID",
    "In-Reply-To", "References", "Subject",  "MIME-Version", "Content-Type", "Content-Transfer-Encoding"};

}  // namespace

std::string without_batv(std::string_view address) {
  constexpr std::string_view prefix = "prvs=";
  constexpr std::size_t tag = 10;  // KDDDSSSSSS
  if (!mail::starts_with(address, prefix) || address.size() <= prefix.size() + tag)
    return std::string(address);
  if (address[prefix.size() + tag] != '=') return std::string(address);
  const std::string_view digits = address.substr(prefix.size(), tag);
  const bool hex = std::all_of(digits.begin(), digits.end(), [](char c) {
    return mail::is_digit(c) || (mail::lower(c) >= 'a' && mail::lower(c) <= 'f');
  });
  return std::string(hex ? address.substr(prefix.size() + tag + 1) : address);
}

Post::Post(const mail::Header& header_, std::string_view reverse_path_, std::uint64_t size_)
    : header(header_), reverse_path(reverse_path_), size(size_), author(mail::author(header_)) {
  unsigned seen = 0;
  for (const mail::Field& field : header.fields()) {
    for (std::size_t i = 0; i < single.size(); ++i) {
      if (!mail::same(field.name, single[i])) continue;
      if ((seen & 1u << i) != 0) doubled = single[i].data();
      seen |= 1u << i;
    }
    if (mail::same(field.name, "List-Id")) names(field.value, list_ids_);
    if (mail::same(field.name, "List-Post")) names(field.value, list_posts_);
    if (mail::same(field.name, "X-BeenThere")) names(field.value, been_there_);
    if (mail::same(field.name, "Received")) ++received;
    if (automatic || !mail::same(field.name, "Auto-Submitted")) continue;
    const std::string token = mail::first_token(field.value);
    automatic = token != "no" && !token.empty();
  }
  if (auto mailbox = Mailbox::parse(without_batv(reverse_path), Mailbox::Allow::utf8))
    sender = mailbox->key();
}

bool Post::has_been_through(const List& list) const {
  const std::string address = list.address();
  return list_ids_.contains(list_id_text(list)) || list_posts_.contains("mailto:" + address) ||
         list_posts_.contains(address) || been_there_.contains(address);
}

const std::vector<std::string>& Post::addressed() const {
  if (addressed_) return *addressed_;
  std::vector<std::string>& keys = addressed_.emplace();
  for (const Mailbox& mailbox : mail::mailboxes(header, {"To", "Cc", "Resent-To", "Resent-Cc"}))
    keys.push_back(mailbox.key());
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

const char* text(Outcome outcome) {
  constexpr const char* words[] = {"accept", "hold", "reject", "discard"};
  return words[static_cast<std::size_t>(outcome)];
}

std::optional<smtp::Reply> form_refusal(const Post& post) {
  if (const char* fault = no_author(post.author.kind)) return smtp::Reply{550, {5, 6, 0}, fault};
  if (post.doubled == nullptr) return std::nullopt;
  return smtp::Reply{550, {5, 6, 0}, std::string("the message has more than one ") + post.doubled + " field"};
}

namespace {

/// The rules, in the order in which judge() asks them. Each answers whether it has decided.
class Judging {
 public:
  Judging(const List& list, const Rules& rules, const Post& post, const MemberOf& member_of,
          const Besides& besides)
      : list_(list),
        said_(list.settings.moderation),
        rules_(rules),
        post_(post),
        member_of_(member_of),
        besides_(besides) {}

  Judgement run() {
    // Who decides nothing leaves the post to those behind him.
    (void)(not_a_post() || from() || form() || banned() || size() || approved() || emergency() || member() ||
           nonmember() || destination() || recipients() || headers());
    if (made_.outcome == Outcome::accept && made_.refusal == std::nullopt) made_.reason.clear();
    return std::move(made_);
  }

 private:
  bool decide(const char* rule, Action action, std::string reason) {
    if (action == Action::defer) return false;
    made_.rule = rule;
    made_.reason = std::move(reason);
    made_.outcome = action == Action::accept   ? Outcome::accept
                    : action == Action::hold   ? Outcome::hold
                    : action == Action::reject ? Outcome::reject
                                               : Outcome::discard;
    if (action == Action::reject) made_.refusal = smtp::Reply{550, {5, 7, 1}, made_.reason + help()};
    return true;
  }
  bool refuse(const char* rule, int code, smtp::EnhancedStatus enhanced, std::string reason) {
    decide(rule, Action::reject, std::move(reason));
    made_.refusal = smtp::Reply{code, enhanced, made_.reason};
    return true;
  }
  bool refuse(const char* rule, const smtp::Reply& reply) {
    return refuse(rule, reply.code, reply.enhanced, reply.text);
  }
  std::string help() const { return ". Help: " + owner_address(list_); }

  bool not_a_post() {
    if (post_.reverse_path.empty())
      return refuse("null_sender", 550, {5, 7, 1},
                    "bounces and other mail from <> cannot be posted to " + address_);
    if (post_.automatic)
      return refuse("automatic", 550, {5, 7, 1},
                    "automatic mail (Auto-Submitted) cannot be posted to " + address_);
    if (post_.has_been_through(list_))
      return refuse("loop", 554, {5, 4, 6}, "loop: the message has been through " + address_ + " already");
    if (post_.received > max_received)
      return refuse("received", 554, {5, 4, 6}, "loop: the message has more than 100 Received fields");
    if (besides_.do_not_explode)
      return refuse(
          "donotexplode", 550, {5, 7, 1},
          "the sender of the message asks that it goes to one recipient (donotexplode, DKIM2), and " +
              address_ + " is a list");
    return false;
  }

  bool from() {
    if (post_.author.kind != Kind::one) return refuse("from", *form_refusal(post_));
    made_.poster = post_.author.address->mailbox.key();
    return false;
  }

  bool form() {
    if (post_.doubled == nullptr) return false;
    return refuse("form", *form_refusal(post_));
  }

  /// The entry that fits the author or the envelope's sender.
  std::optional<std::string> named_by(const AddressPatterns& patterns) const {
    if (auto entry = patterns.match(made_.poster)) return entry;
    if (post_.sender == made_.poster) return std::nullopt;
    return patterns.match(post_.sender);
  }

  bool banned() {
    const bool everywhere = besides_.banned_everywhere != nullptr && named_by(*besides_.banned_everywhere);
    if (!everywhere && !named_by(rules_.bans)) return false;
    return decide("banned", Action::reject, "this sender must not post to " + address_);
  }

  bool size() {
    const std::uint64_t most = list_.settings.max_size;
    if (most == 0 || post_.size <= most) return false;
    return refuse("max_size", 552, {5, 3, 4},
                  "the message has " + std::to_string(post_.size) + " octets, " + address_ +
                      " takes at most " + std::to_string(most));
  }

  bool approved() {
    if (!besides_.approved) return false;
    const auto found = member_of_(made_.poster);
    made_.member = found.has_value();
    if (found && !found->key.empty()) made_.poster = found->key;
    return decide("approved", Action::accept, {});
  }

  bool emergency() {
    return said_.emergency && decide("emergency", Action::hold, "all posts to " + address_ + " are held now");
  }

  bool member() {
    auto found = member_of_(made_.poster);
    if (!found && !post_.sender.empty() && post_.sender != made_.poster) {
      found = member_of_(post_.sender);
      if (found) made_.poster = post_.sender;
    }
    if (!found) return false;
    if (!found->key.empty()) made_.poster = found->key;
    made_.member = true;
    made_.rule = "member";
    return decide("member_moderation", found->moderation.value_or(said_.members),
                  found->moderation ? "the posts of " + made_.poster + " to " + address_ + " are moderated"
                                    : "the posts of members of " + address_ + " are moderated");
  }

  bool nonmember() {
    if (made_.member) return false;
    const auto own = [this](const char* rule, const AddressPatterns& patterns, Action action) {
      const auto entry = named_by(patterns);
      if (!entry) return false;
      if (action == Action::hold)
        return decide(rule, action, made_.poster + " is no member, and " + *entry + " is in " + rule);
      return decide(rule, action, "posts of " + made_.poster + " to " + address_ + " are not accepted");
    };
    if (own("accept_these", rules_.accept_these, Action::accept) ||
        own("hold_these", rules_.hold_these, Action::hold) ||
        own("reject_these", rules_.reject_these, Action::reject) ||
        own("discard_these", rules_.discard_these, Action::discard))
      return true;
    made_.rule = "nonmembers";
    return decide("nonmembers", said_.nonmembers,
                  made_.poster + " is not a member of " + address_ +
                      (said_.nonmembers == Action::reject ? "; only members may post" : ""));
  }

  bool destination() {
    if (said_.implicit_destination == Action::accept) return false;
    for (const std::string& key : post_.addressed())
      if (key == address_ || rules_.acceptable_aliases.match(key)) return false;
    return decide("implicit_destination", said_.implicit_destination,
                  "neither To nor Cc of the message names " + address_);
  }

  bool recipients() {
    const std::size_t count = post_.addressed().size();
    if (said_.max_recipients == 0 || count <= said_.max_recipients) return false;
    return decide("max_recipients", Action::hold,
                  "To and Cc of the message name " + std::to_string(count) + " addresses, more than " +
                      std::to_string(said_.max_recipients));
  }

  bool headers() {
    const HeaderRule* rule = rules_.first(post_.header);
    if (rule == nullptr) return false;
    // The poster is not told which rule: it would tell a spammer what to change.
    if (rule->action == Action::reject)
      return decide("header_rules", Action::reject,
                    "the message looks as " + address_ + " does not accept it");
    return decide("header_rules", rule->action, "header rule: " + rule->written());
  }

  const List& list_;
  const Moderation& said_;
  const Rules& rules_;
  const Post& post_;
  const MemberOf& member_of_;
  const Besides& besides_;
  const std::string address_ = list_.address();
  Judgement made_;
};

}  // namespace

Judgement judge(const List& list, const Rules& rules, const Post& post, const MemberOf& member_of,
                const Besides& besides) {
  return Judging(list, rules, post, member_of, besides).run();
}

}  // namespace spoold::list
