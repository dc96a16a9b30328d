#include "protocol/list/policy.hpp"

#include <algorithm>

#include "protocol/list/cook.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::list {

namespace {

using Kind = mail::Author::Kind;

smtp::Reply refuse(int code, smtp::EnhancedStatus enhanced, std::string text) {
  return {code, enhanced, std::move(text)};
}

/// Some <...> of the value is `wanted`, or the value is `wanted` itself.
bool names(std::string_view value, std::string_view wanted) {
  std::string flat;
  for (char c : value)
    if (!mail::is_space(c)) flat += mail::lower(c);
  if (flat == wanted) return true;
  for (std::size_t at = flat.find('<'); at != std::string::npos; at = flat.find('<', at + 1)) {
    std::size_t end = flat.find('>', at);
    if (end == std::string::npos) return false;
    if (std::string_view(flat).substr(at + 1, end - at - 1) == wanted) return true;
  }
  return false;
}

/// The post has been through this list already.
bool is_loop(const List& list, const mail::Header& header) {
  const std::string id = list_id_text(list), address = list.address();
  for (const mail::Field& field : header.fields()) {
    if (mail::same(field.name, "List-Id") && names(field.value, id)) return true;
    if (mail::same(field.name, "List-Post") &&
        (names(field.value, "mailto:" + address) || names(field.value, address)))
      return true;
    if (mail::same(field.name, "X-BeenThere") && names(field.value, address)) return true;
  }
  return false;
}

std::optional<smtp::Reply> automatic(const List& list, const Post& post) {
  if (post.reverse_path.empty())
    return refuse(550, {5, 7, 1}, "bounces and other mail from <> cannot be posted to " + list.address());
  for (const mail::Field& field : post.header.fields())
    if (mail::same(field.name, "Auto-Submitted")) {
      std::string token = mail::first_token(field.value);
      if (token != "no" && !token.empty())
        return refuse(550, {5, 7, 1},
                      "automatic mail (Auto-Submitted) cannot be posted to " + list.address());
    }
  return {};
}

std::optional<smtp::Reply> no_author(Kind kind) {
  switch (kind) {
    case Kind::one:
      return {};
    case Kind::none:
      return refuse(550, {5, 6, 0}, "the message has no address in From");
    case Kind::several_fields:
      return refuse(550, {5, 6, 0}, "the message has more than one From field");
    case Kind::several_addresses:
      return refuse(550, {5, 6, 0}, "the message has more than one address in From");
    case Kind::malformed:
      return refuse(550, {5, 6, 0}, "the From field of the message is not an address");
  }
  return {};
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

Judgement judge(const List& list, const Post& post,
                const std::function<bool(const std::string&)>& is_member) {
  Judgement judgement;
  if ((judgement.refusal = automatic(list, post))) return judgement;
  if (is_loop(list, post.header)) {
    judgement.refusal =
        refuse(554, {5, 4, 6}, "loop: the message has been through " + list.address() + " already");
    return judgement;
  }
  if (post.header.count("Received") > max_received) {
    judgement.refusal = refuse(554, {5, 4, 6}, "loop: the message has more than 100 Received fields");
    return judgement;
  }
  if (list.settings.max_size != 0 && post.size > list.settings.max_size) {
    judgement.refusal = refuse(552, {5, 3, 4},
                               "the message has " + std::to_string(post.size) + " octets, " + list.address() +
                                   " takes at most " + std::to_string(list.settings.max_size));
    return judgement;
  }
  const mail::Author author = mail::author(post.header);
  if ((judgement.refusal = no_author(author.kind))) return judgement;

  judgement.poster = author.address->mailbox.key();
  if (is_member(judgement.poster)) return judgement;
  if (auto sender = Mailbox::parse(without_batv(post.reverse_path), Mailbox::Allow::utf8)) {
    if (std::string key = sender->key(); key != judgement.poster && is_member(key)) {
      judgement.poster = std::move(key);
      return judgement;
    }
  }
  if (list.settings.nonmembers == Nonmembers::reject)
    judgement.refusal = refuse(550, {5, 7, 1},
                               judgement.poster + " is not a member of " + list.address() +
                                   "; only members may post. Help: " + list.local + "-owner@" + list.domain);
  return judgement;
}

std::vector<std::string> left_out(const List& list, const mail::Header& header, const std::string& poster) {
  std::vector<std::string> keys;
  if (!list.settings.own_posts && !poster.empty()) keys.push_back(poster);
  if (list.settings.avoid_duplicates)
    for (const Mailbox& mailbox : mail::mailboxes(header, {"To", "Cc", "Resent-To", "Resent-Cc"}))
      keys.push_back(mailbox.key());
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

}  // namespace spoold::list
