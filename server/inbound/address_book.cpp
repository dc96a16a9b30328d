#include "server/inbound/address_book.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"

namespace spoold::server {
namespace {

using Kind = smtp::Recipient::Kind;
namespace directory = store::directory;

tl::unexpected<smtp::Reply> refuse(int code, smtp::EnhancedStatus enhanced, std::string text) {
  return tl::unexpected<smtp::Reply>(smtp::Reply{code, enhanced, std::move(text)});
}

auto no_such_address(const Mailbox& path) {
  return refuse(550, {5, 1, 1}, "no such address here: " + path.text());
}

void add(std::vector<std::string>& to, std::string address) {
  const auto same = [&](const std::string& other) { return mail::same(other, address); };
  if (std::none_of(to.begin(), to.end(), same)) to.push_back(std::move(address));
}

smtp::Recipient recipient(Kind kind, std::string address) {
  smtp::Recipient made;
  made.kind = kind;
  made.address = std::move(address);
  return made;
}

}  // namespace

AddressBook::AddressBook(const conf::Settings& settings, list::Hmac hmac)
    : settings_(settings), hmac_(std::move(hmac)) {
  for (const auto& [address, targets] : settings.aliases) aliases_[mail::lower(address)] = targets;
}

const std::vector<std::string>* AddressBook::alias(const std::string& key) const {
  const auto found = aliases_.find(key);
  return found == aliases_.end() ? nullptr : &found->second;
}

bool AddressBook::relays(std::string_view domain) const {
  return std::any_of(settings_.domains.begin(), settings_.domains.end(),
                     [&](const conf::RelayDomain& relayed) { return mail::same(relayed.name, domain); });
}

// What an alias, or the address of a list behind one, leads to in the end.
void AddressBook::expand(const store::Read& read, const std::string& address, Expansion& into) const {
  const auto mailbox = Mailbox::parse(address, Mailbox::Allow::utf8);
  if (!mailbox) return;  // conf checks aliases, `list set` checks owners
  const std::string key = mailbox->key();
  if (const auto* targets = alias(key)) {
    if (std::find(into.seen.begin(), into.seen.end(), key) != into.seen.end()) return;
    into.seen.push_back(key);
    for (const std::string& target : *targets) expand(read, target, into);
    return;
  }
  if (directory::is_list_domain(read, mailbox->domain())) {
    const auto sub = list::sub_address(mailbox->local(), settings_.verp.delimiter);
    const auto found = sub ? directory::find_list(read, sub->list, mailbox->domain()) : std::nullopt;
    if (found && sub->role == list::Role::post) {
      if (std::find(into.lists.begin(), into.lists.end(), found->id) == into.lists.end())
        into.lists.push_back(found->id);
      return;
    }
    if (found) {
      if (std::find(into.seen.begin(), into.seen.end(), key) != into.seen.end()) return;
      into.seen.push_back(key);
      for (const std::string& owner : found->settings.owners) expand(read, owner, into);
      return;
    }
    if (!relays(mailbox->domain())) return;
  }
  add(into.targets, mailbox->text());
}

AddressBook::Answer AddressBook::owners(const store::Read& read, const std::string& address,
                                        const std::vector<list::List>& lists) const {
  smtp::Recipient made = recipient(Kind::owners, address);
  Expansion expansion;
  expansion.seen.push_back(mail::lower(address));
  for (const list::List& list : lists)
    for (const std::string& owner : list.settings.owners) expand(read, owner, expansion);
  if (lists.size() == 1) made.lists.push_back(lists.front().id);
  made.targets = std::move(expansion.targets);
  if (made.targets.empty()) return refuse(550, {5, 1, 6}, "nobody answers " + address + " now");
  return made;
}

AddressBook::Answer AddressBook::postmaster(const store::Read& read) const {
  const std::string own = "postmaster@" + mail::lower(settings_.hostname);
  Expansion expansion;
  expansion.seen.push_back(own);
  const auto* answering = alias(own);
  if (answering == nullptr) answering = alias("postmaster");
  if (answering != nullptr)
    for (const std::string& target : *answering) expand(read, target, expansion);
  if (!expansion.targets.empty()) {
    smtp::Recipient made = recipient(Kind::alias, "postmaster");
    made.targets = std::move(expansion.targets);
    made.lists = std::move(expansion.lists);
    return made;
  }
  std::vector<list::List> lists = directory::lists_of_domain(read, mail::lower(settings_.hostname));
  if (lists.empty()) lists = directory::lists(read, 0, 20);
  if (lists.empty()) return refuse(550, {5, 1, 1}, "no postmaster is configured here");
  return owners(read, "postmaster", lists);
}

AddressBook::Answer AddressBook::bounce(const store::Read& read, const Mailbox& path,
                                        const list::SubAddress& sub, const std::optional<list::List>& list,
                                        TimePoint now) const {
  const auto decoded = list::decode_verp(sub.detail, list::verp_epoch(now), hmac_);
  if (!decoded) {
    if (list) return owners(read, path.text(), {*list});
    return owners(read, path.text(), directory::lists_of_domain(read, path.domain()));
  }
  smtp::Recipient made = recipient(Kind::bounce, path.text());
  if (decoded->kind == list::DecodedVerp::Kind::forged)
    return refuse(550, {5, 1, 1}, "this bounce address was not made here, or long ago");
  if (decoded->kind == list::DecodedVerp::Kind::classic) {
    if (!list) return no_such_address(path);
    made.lists.push_back(list->id);
    made.targets.push_back(decoded->address);
    return made;
  }
  if (list && list->id != decoded->list) return no_such_address(path);
  if (!directory::list(read, decoded->list)) return no_such_address(path);
  if (decoded->member == 0) {  // a recipient added by hand: the address names its list only
    made.lists.push_back(decoded->list);
    made.targets.emplace_back();
    return made;
  }
  const auto member = directory::member_by_id(read, decoded->member);
  if (!member || member->list != decoded->list) return no_such_address(path);
  made.lists.push_back(decoded->list);
  made.targets.push_back(member->member.address);
  return made;
}

AddressBook::Found AddressBook::at_list_domain(const store::Read& read, const Mailbox& path,
                                               const smtp::Transaction& transaction, TimePoint now) const {
  const auto sub = list::sub_address(path.local(), settings_.verp.delimiter);
  if (!sub) return std::nullopt;
  if (sub->list.empty()) {
    if (sub->role == list::Role::bounces) return bounce(read, path, *sub, std::nullopt, now);
    return owners(read, path.text(), directory::lists_of_domain(read, path.domain()));
  }
  const auto list = directory::find_list(read, sub->list, path.domain());
  if (!list) return std::nullopt;
  if (sub->role == list::Role::bounces && !sub->detail.empty()) return bounce(read, path, *sub, list, now);
  if (sub->role != list::Role::post) return owners(read, path.text(), {*list});
  if (list->settings.max_size != 0 && transaction.declared_size > list->settings.max_size)
    return Answer(refuse(552, {5, 3, 4},
                         "messages to " + list->address() + " must not be larger than " +
                             std::to_string(list->settings.max_size) + " octets"));
  smtp::Recipient made = recipient(Kind::post, path.text());
  made.lists.push_back(list->id);
  return Answer(std::move(made));
}

AddressBook::Answer AddressBook::look_up(const store::Read& read, const std::optional<Mailbox>& path,
                                         const smtp::Transaction& transaction, bool may_relay,
                                         TimePoint now) const {
  if (!path) return postmaster(read);
  if (!aliases_.empty()) {
    const std::string key = path->key();
    if (alias(key) != nullptr) {
      Expansion expansion;
      expand(read, key, expansion);
      smtp::Recipient made = recipient(Kind::alias, path->text());
      made.targets = std::move(expansion.targets);
      made.lists = std::move(expansion.lists);
      if (made.targets.empty() && made.lists.empty())
        return refuse(550, {5, 1, 6}, "nobody answers " + path->text() + " now");
      return made;
    }
  }
  bool ours = false;
  if (directory::is_list_domain(read, path->domain())) {
    ours = true;
    if (Found found = at_list_domain(read, *path, transaction, now)) return *std::move(found);
  }
  if (relays(path->domain())) return recipient(Kind::relay, path->text());
  if (mail::same(path->domain(), settings_.hostname)) {
    if (mail::same(path->local(), "postmaster") || mail::same(path->local(), "abuse"))
      return postmaster(read);
    ours = true;
  }
  if (ours) return no_such_address(*path);
  if (may_relay) return recipient(Kind::relay, path->text());
  return refuse(550, {5, 7, 1}, "relaying denied: " + path->text());
}

}  // namespace spoold::server
