#include "server/office/address_book.hpp"

#include <algorithm>
#include <unordered_set>

#include "protocol/list/approved.hpp"
#include "protocol/list/leave_token.hpp"
#include "protocol/list/moderation_token.hpp"
#include "protocol/list/policy.hpp"
#include "protocol/list/sender_forms.hpp"
#include "protocol/mail/ascii.hpp"
#include "store/directory/asked.hpp"
#include "store/directory/scores.hpp"
#include "store/spool/moderation.hpp"

namespace spoold::server {
namespace {

namespace to = smtp::to;
namespace directory = store::directory;

tl::unexpected<smtp::Reply> refuse(int code, smtp::EnhancedStatus enhanced, std::string text) {
  return tl::unexpected<smtp::Reply>(smtp::Reply{code, enhanced, std::move(text)});
}

auto no_such_address(const Mailbox& path) {
  return refuse(550, {5, 1, 1}, "no such address here: " + path.text());
}

bool accepts(const list::List& list, list::CopyForm form) {
  return (list.settings.verp_accept & static_cast<std::uint8_t>(form)) != 0;
}

smtp::Recipient recipient(std::string address, smtp::Resolved to) {
  smtp::Recipient made;
  made.address = std::move(address);
  made.to = std::move(to);
  return made;
}

}  // namespace

// Follows aliases, and addresses of lists behind them, to their ends.
class AddressBook::Expansion {
 public:
  enum class Extent { all, first };  // first: only whether there is something
  enum class Posts { taken, none };  // none: the address of a list leads nowhere
  Expansion(const AddressBook& book, const store::Read& read, Extent extent, Posts posts = Posts::taken)
      : book_(book), read_(read), extent_(extent), posts_(posts) {}

  /// `address` is where the mail came to: it is not followed again.
  void leave_out(std::string_view address) { followed_.insert(mail::lower(address)); }

  void follow(const std::vector<std::string>& addresses) {
    push(addresses);
    while (!todo_.empty() && !enough()) {
      const std::string address = std::move(todo_.back());
      todo_.pop_back();
      step(address);
    }
    todo_.clear();
  }

  bool enough() const { return extent_ == Extent::first && !empty(); }
  bool empty() const { return found.addresses.empty() && found.lists.empty(); }

  Targets found;

 private:
  // The last one is looked at first.
  void push(const std::vector<std::string>& addresses) {
    todo_.insert(todo_.end(), addresses.rbegin(), addresses.rend());
  }

  void step(const std::string& address) {
    const auto mailbox = Mailbox::parse(address, Mailbox::Allow::utf8);
    if (!mailbox) return;  // conf checks aliases, `list set` checks owners
    const std::string key = mailbox->key();
    if (const auto* targets = book_.alias(key)) {
      if (followed_.insert(key).second) push(*targets);
      return;
    }
    if (directory::is_list_domain(read_, mailbox->domain())) {
      const auto sub = list::sub_address(mailbox->local(), book_.settings_->verp.delimiter);
      const auto list = sub ? directory::find_list(read_, sub->list, mailbox->domain()) : std::nullopt;
      if (list && sub->role == list::Role::post) {
        if (posts_ == Posts::taken && lists_.insert(list->id).second) found.lists.push_back(list->id);
        return;
      }
      if (list) {
        if (followed_.insert(key).second) push(list->settings.owners);
        return;
      }
      if (!book_.routes_.relays(mailbox->domain())) return;
    }
    if (addresses_.insert(key).second) found.addresses.push_back(mailbox->text());
  }

  const AddressBook& book_;
  const store::Read& read_;
  const Extent extent_;
  const Posts posts_;
  std::vector<std::string> todo_;
  std::unordered_set<std::string> followed_, addresses_;  // keys
  std::unordered_set<list::ListId> lists_;
};

AddressBook::AddressBook(std::shared_ptr<const conf::Settings> settings, list::Hmac hmac)
    : settings_(std::move(settings)),
      routes_(*settings_),
      hmac_(std::move(hmac)),
      bans_(settings_->lists.bans) {
  for (const auto& [address, targets] : settings_->aliases) aliases_[mail::lower(address)] = targets;
}

const std::vector<std::string>* AddressBook::alias(const std::string& key) const {
  const auto found = aliases_.find(key);
  return found == aliases_.end() ? nullptr : &found->second;
}

const std::vector<std::string>* AddressBook::postmaster_alias() const {
  const auto* of_host = alias("postmaster@" + mail::lower(settings_->hostname));
  return of_host != nullptr ? of_host : alias("postmaster");
}

AddressBook::Targets AddressBook::targets(const store::Read& read, const smtp::Recipient& recipient) const {
  const auto* owners = std::get_if<to::Owners>(&recipient.to);
  Expansion expansion(*this, read, Expansion::Extent::all,
                      owners != nullptr ? Expansion::Posts::none : Expansion::Posts::taken);
  expansion.leave_out(recipient.address);
  if (owners != nullptr) {
    for (const list::ListId id : owners->lists)
      if (const auto list = directory::list(read, id)) expansion.follow(list->settings.owners);
  } else if (recipient.is<to::Alias>()) {
    const auto* behind =
        recipient.address == "postmaster" ? postmaster_alias() : alias(mail::lower(recipient.address));
    if (behind != nullptr) expansion.follow(*behind);
  }
  return std::move(expansion.found);
}

std::vector<std::string> AddressBook::reported_to(const store::Read& read, const std::string& sender,
                                                  TimePoint now) const {
  const auto path = Mailbox::parse(sender, Mailbox::Allow::utf8);
  if (!path) return {sender};
  const Answer who = look_up(read, *path, {}, true, now);
  if (!who || who->is<to::Post>() || who->is<to::Command>() || who->is<to::Leave>()) return {};
  if (who->is<to::Alias>() || who->is<to::Owners>()) return targets(read, *who).addresses;
  if (const auto* bounce = std::get_if<to::Bounce>(&who->to); bounce != nullptr && bounce->member.empty())
    return owners_of(read, bounce->list);
  return {sender};
}

std::vector<std::string> AddressBook::owners_of(const store::Read& read, list::ListId list) const {
  smtp::Recipient owners;
  owners.to = to::Owners{{list}};
  return targets(read, owners).addresses;
}

std::vector<std::string> AddressBook::moderators_of(const store::Read& read, const list::List& list) const {
  Expansion expansion(*this, read, Expansion::Extent::all, Expansion::Posts::none);
  expansion.follow(list.settings.moderation.moderators);
  if (expansion.empty()) return owners_of(read, list.id);
  return std::move(expansion.found.addresses);
}

bool AddressBook::is_banned(const store::Read& read, const list::List& list, const std::string& key) const {
  return bans_.match(key) || rules_.of(read, list)->bans.match(key);
}

bool AddressBook::approves(const list::List& list, const mail::Header& post) const {
  return list::is_approved(list, post, hmac_);
}

std::string AddressBook::moderation_address(const list::List& list, std::uint64_t post) const {
  return list::moderation_address(list, list::moderation_token(list.id, post, hmac_),
                                  settings_->verp.delimiter);
}

/// Nothing: it is no token of a held post. The list may be gone since: that is told to whoever answers.
AddressBook::Found AddressBook::moderation(const store::Read& read, const Mailbox& path,
                                           const list::SubAddress& sub) const {
  const auto post = list::post_of_token(sub.detail);
  if (!post && sub.detail.size() != list::moderation_token_length) return std::nullopt;
  const auto list = post ? store::spool::list_of_held(read, *post) : std::nullopt;
  const auto of_address =
      sub.list.empty() ? std::nullopt : directory::find_list(read, sub.list, path.domain());
  if (!list || !list::proves(sub.detail, *list, *post, hmac_) || (of_address && of_address->id != *list))
    return Answer(refuse(550, {5, 1, 1}, "this address was not made here, or long ago"));
  return Answer(recipient(path.text(), to::Moderation{*list, *post}));
}

std::vector<std::string> AddressBook::postmasters(const store::Read& read, TimePoint now) const {
  const Answer who = look_up(read, std::nullopt, {}, true, now);
  return who ? targets(read, *who).addresses : std::vector<std::string>();
}

AddressBook::Answer AddressBook::owners(const store::Read& read, const std::string& address,
                                        std::vector<list::ListId> lists) const {
  Expansion expansion(*this, read, Expansion::Extent::first, Expansion::Posts::none);
  expansion.leave_out(address);
  for (const list::ListId id : lists) {
    if (expansion.enough()) break;
    if (const auto list = directory::list(read, id)) expansion.follow(list->settings.owners);
  }
  if (expansion.empty()) return refuse(550, {5, 1, 6}, "nobody answers " + address + " now");
  return recipient(address, to::Owners{std::move(lists)});
}

AddressBook::Answer AddressBook::postmaster(const store::Read& read) const {
  if (const auto* answering = postmaster_alias()) {
    Expansion expansion(*this, read, Expansion::Extent::first);
    expansion.leave_out("postmaster@" + settings_->hostname);
    expansion.follow(*answering);
    if (!expansion.empty()) return recipient("postmaster", to::Alias{});
  }
  auto lists = directory::list_ids_of_domain(read, mail::lower(settings_->hostname), lists_of_role);
  if (lists.empty())
    for (const list::List& list : directory::lists(read, 0, lists_of_role)) lists.push_back(list.id);
  if (lists.empty()) return refuse(550, {5, 1, 1}, "no postmaster is configured here");
  return owners(read, "postmaster", std::move(lists));
}

AddressBook::Answer AddressBook::bounce(const store::Read& read, const Mailbox& path,
                                        const list::SubAddress& sub, const std::optional<list::List>& list,
                                        TimePoint now) const {
  const auto decoded = list::decode_verp(sub.detail, list::verp_epoch(now), hmac_, list ? list->id : 0);
  if (!decoded) {
    const std::string token = mail::lower(sub.detail);
    const auto probe = directory::probed(read, token);
    if (probe && now < probe->score.token_until && (!list || list->id == probe->list))
      return recipient(path.text(), to::Probe{probe->list, token});
    const auto asked = directory::asked_by_token(read, token);
    if (asked && (!list || list->id == asked->list))
      return recipient(path.text(), to::Command{asked->list, "confirm", token, true});
    if (list) return owners(read, path.text(), {list->id});
    return owners(read, path.text(), directory::list_ids_of_domain(read, path.domain(), lists_of_role));
  }
  if (decoded->kind == list::DecodedVerp::Kind::forged)
    return refuse(550, {5, 1, 1}, "this bounce address was not made here, or long ago");
  if (decoded->kind == list::DecodedVerp::Kind::classic) {
    if (!list) return no_such_address(path);
    // Anybody can write that. A list whose own senders are proven reads it only while it migrates.
    if (list->settings.verp_format != list::VerpFormat::classic && !accepts(*list, list::CopyForm::classic))
      return refuse(550, {5, 1, 1}, "this bounce address was not made here, or long ago");
    return recipient(path.text(), to::Bounce{list->id, decoded->address});
  }
  if (decoded->kind == list::DecodedVerp::Kind::signed_)
    return recipient(path.text(), to::Bounce{decoded->list, decoded->address});
  if (list && list->id != decoded->list) return no_such_address(path);
  if (!directory::list(read, decoded->list)) return no_such_address(path);
  if (decoded->member == 0)  // a recipient added by hand: the address names its list only
    return recipient(path.text(), to::Bounce{decoded->list, {}});
  const auto member = directory::member_by_id(read, decoded->member);
  if (!member || member->list != decoded->list) return no_such_address(path);
  return recipient(path.text(), to::Bounce{decoded->list, member->member.address});
}

// Only who was sent a token knows that it exists.
AddressBook::Answer AddressBook::token(const store::Read& read, const Mailbox& path,
                                       const list::SubAddress& sub, TimePoint now) const {
  const std::string token = mail::lower(sub.detail);
  const auto asked = directory::asked_by_token(read, token);
  const auto list = asked ? directory::list(read, asked->list) : std::nullopt;
  if (!list || now >= asked->asked.until || (!sub.list.empty() && sub.list != list->local) ||
      path.domain() != list->domain)
    return refuse(550, {5, 1, 1},
                  "this address was for one answer: it has come, or its time is over; ask again");
  return recipient(path.text(), to::Command{list->id, "confirm", token});
}

// By the token alone: the leave button of a mail program writes any subject and text, and from any address.
AddressBook::Answer AddressBook::leave(const store::Read& read, const Mailbox& path,
                                       const list::SubAddress& sub,
                                       const std::optional<list::List>& list) const {
  const auto leaving = list::decode_leave(sub.detail, hmac_);
  if (!leaving) return refuse(550, {5, 1, 1}, "this address to leave a list was not made here");
  const auto its_list = directory::list(read, leaving->list);
  if (!its_list || its_list->domain != path.domain() || (list && list->id != leaving->list))
    return no_such_address(path);
  const auto member = directory::member_by_id(read, leaving->member);
  bool is_one = member && !member->departed && member->list == leaving->list;
  // He gets the posts of this list as a member of one that it includes: that membership ends.
  if (!is_one && member && !member->departed) {
    const auto included = directory::list_ids(read, its_list->settings.include_lists);
    is_one = std::ranges::find(included, member->list) != included.end();
  }
  return recipient(path.text(), to::Leave{is_one ? member->list : leaving->list, leaving->member,
                                          is_one ? mail::lower(member->member.address) : std::string()});
}

/// Bounces of mail that another list manager sent, while a site migrates.
AddressBook::Found AddressBook::of_other_manager(const store::Read& read, const Mailbox& path) const {
  const auto copy = list::sender_of_copy(path.text());
  if (!copy || copy->member.empty() || copy->form == list::CopyForm::classic) return std::nullopt;
  const mail::Address address(copy->list);
  const auto list = directory::find_list(read, address.local, address.domain);
  if (!list || !accepts(*list, copy->form)) return std::nullopt;
  return Answer(recipient(path.text(), to::Bounce{list->id, mail::lower(copy->member)}));
}

AddressBook::Found AddressBook::at_list_domain(const store::Read& read, const Mailbox& path,
                                               const smtp::Transaction& transaction, TimePoint now) const {
  const auto sub = list::sub_address(path.local(), settings_->verp.delimiter);
  if (!sub) return std::nullopt;
  if (sub->role == list::Role::confirm) {
    if (Found found = moderation(read, path, *sub)) return found;
    return token(read, path, *sub, now);
  }
  if (sub->list.empty()) {
    if (sub->role == list::Role::bounces) return bounce(read, path, *sub, std::nullopt, now);
    if (sub->role == list::Role::leave) return leave(read, path, *sub, std::nullopt);
    return owners(read, path.text(), directory::list_ids_of_domain(read, path.domain(), lists_of_role));
  }
  const auto list = directory::find_list(read, sub->list, path.domain());
  if (!list) return std::nullopt;
  if (sub->role == list::Role::bounces && !sub->detail.empty()) return bounce(read, path, *sub, list, now);
  if (sub->role == list::Role::leave && !sub->detail.empty()) return leave(read, path, *sub, list);
  if (sub->role == list::Role::bounces) return Answer(recipient(path.text(), to::Bounce{list->id, {}}));
  if (sub->role == list::Role::join || sub->role == list::Role::leave || sub->role == list::Role::request)
    return Answer(recipient(path.text(), to::Command{list->id, list::text(sub->role), {}}));
  if (sub->role != list::Role::post) return owners(read, path.text(), {list->id});
  if (list->settings.max_size != 0 && transaction.declared_size > list->settings.max_size)
    return Answer(refuse(552, {5, 3, 4},
                         "messages to " + list->address() + " must not be larger than " +
                             std::to_string(list->settings.max_size) + " octets"));
  const auto sender = Mailbox::parse(list::without_batv(transaction.reverse_path), Mailbox::Allow::utf8);
  if (sender && is_banned(read, *list, sender->key()))
    return Answer(refuse(550, {5, 7, 1}, "this sender must not post to " + list->address()));
  return Answer(recipient(path.text(), to::Post{list->id, list->members}));
}

AddressBook::Answer AddressBook::look_up(const store::Read& read, const std::optional<Mailbox>& path,
                                         const smtp::Transaction& transaction, bool may_relay,
                                         TimePoint now) const {
  if (!path) return postmaster(read);
  if (!aliases_.empty()) {
    if (const auto* behind = alias(path->key())) {
      Expansion expansion(*this, read, Expansion::Extent::first);
      expansion.leave_out(path->text());
      expansion.follow(*behind);
      if (expansion.empty()) return refuse(550, {5, 1, 6}, "nobody answers " + path->text() + " now");
      return recipient(path->text(), to::Alias{});
    }
  }
  bool ours = false;
  if (directory::is_list_domain(read, path->domain())) {
    ours = true;
    if (Found found = at_list_domain(read, *path, transaction, now)) return *std::move(found);
    if (Found found = of_other_manager(read, *path)) return *std::move(found);
  }
  if (routes_.relays(path->domain())) {
    // The next hop may trust us, and read a route to a third server in the local part.
    if (!may_relay && path->local().find_first_of("%!@") != std::string::npos)
      return refuse(550, {5, 7, 1}, "relaying denied: a local part with % or ! or @: " + path->text());
    return recipient(path->text(), to::Relay{});
  }
  if (mail::same(path->domain(), settings_->hostname)) {
    if (mail::same(path->local(), "postmaster") || mail::same(path->local(), "abuse"))
      return postmaster(read);
    ours = true;
  }
  if (ours) return no_such_address(*path);
  if (may_relay) return recipient(path->text(), to::Relay{});
  return refuse(550, {5, 7, 1}, "relaying denied: " + path->text());
}

}  // namespace spoold::server
