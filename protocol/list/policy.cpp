#include "protocol/list/policy.hpp"

#include <algorithm>

#include "protocol/list/cook.hpp"
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
  for (const mail::Field& field : header.fields()) {
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

Judgement judge(const List& list, const Post& post,
                const std::function<bool(const std::string&)>& is_member) {
  const auto refused = [](const char* rule, int code, smtp::EnhancedStatus enhanced, std::string text) {
    return Judgement{.rule = rule, .refusal = smtp::Reply{code, enhanced, std::move(text)}, .poster = {}};
  };
  const std::string address = list.address();
  if (post.reverse_path.empty())
    return refused("null_sender", 550, {5, 7, 1},
                   "bounces and other mail from <> cannot be posted to " + address);
  if (post.automatic)
    return refused("automatic", 550, {5, 7, 1},
                   "automatic mail (Auto-Submitted) cannot be posted to " + address);
  if (post.has_been_through(list))
    return refused("loop", 554, {5, 4, 6}, "loop: the message has been through " + address + " already");
  if (post.received > max_received)
    return refused("received", 554, {5, 4, 6}, "loop: the message has more than 100 Received fields");
  const std::uint64_t most = list.settings.max_size;
  if (most != 0 && post.size > most)
    return refused("max_size", 552, {5, 3, 4},
                   "the message has " + std::to_string(post.size) + " octets, " + address +
                       " takes at most " + std::to_string(most));
  if (const char* fault = no_author(post.author.kind)) return refused("from", 550, {5, 6, 0}, fault);

  Judgement judgement{
      .rule = "member", .refusal = {}, .poster = post.author.address->mailbox.key(), .member = true};
  if (is_member(judgement.poster)) return judgement;
  if (!post.sender.empty() && post.sender != judgement.poster && is_member(post.sender)) {
    judgement.poster = post.sender;
    return judgement;
  }
  judgement.rule = "nonmembers";
  judgement.member = false;
  if (list.settings.nonmembers == Nonmembers::reject)
    judgement.refusal =
        smtp::Reply{550,
                    {5, 7, 1},
                    judgement.poster + " is not a member of " + address +
                        "; only members may post. Help: " + list.local + "-owner@" + list.domain};
  return judgement;
}

std::vector<std::string> left_out(const List& list, const Post& post, const std::string& poster) {
  std::vector<std::string> keys;
  if (list.settings.avoid_duplicates) keys = post.addressed();
  if (list.settings.own_posts || poster.empty()) return keys;
  const auto at = std::lower_bound(keys.begin(), keys.end(), poster);
  if (at == keys.end() || *at != poster) keys.insert(at, poster);
  return keys;
}

}  // namespace spoold::list
