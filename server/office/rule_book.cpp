#include "server/office/rule_book.hpp"

#include "protocol/list/settings_table.hpp"
#include "protocol/mail/mailbox.hpp"
#include "store/directory/persons.hpp"

namespace spoold::server {
namespace {

const std::shared_ptr<const list::Rules>& no_rules() {
  static const auto none = std::make_shared<const list::Rules>();
  return none;
}

}  // namespace

std::shared_ptr<const list::Rules> RuleBook::compiled(const store::Read& read, const list::List& list) {
  if (list.settings.moderation.rules_version == 0) return no_rules();
  list::List whole = list;
  store::directory::load_rules(read, whole);
  return std::make_shared<const list::Rules>(whole.settings.moderation.rules);
}

std::shared_ptr<const list::Rules> RuleBook::of(const store::Read& read, const list::List& list) const {
  const std::uint32_t version = list.settings.moderation.rules_version;
  if (version == 0) return no_rules();
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = kept_.find(list.id); at != kept_.end() && at->second.version == version)
      return at->second.rules;
  }
  auto rules = compiled(read, list);  // not under the lock: that may take some hundred milliseconds
  const std::lock_guard lock(mutex_);
  if (kept_.size() >= most_lists && !kept_.contains(list.id)) kept_.erase(kept_.begin());
  kept_[list.id] = {version, rules};
  return rules;
}

std::optional<std::string> bans_fault(const conf::Settings& settings) {
  list::Settings of_a_list;  // they are written as those of a list
  const auto read = list::set(of_a_list, "bans", settings.lists.bans);
  if (read) return std::nullopt;
  return "[lists] " + read.error();
}

list::MemberOf member_of(const store::Read& read, list::ListId list) {
  return [&read, list](const std::string& key) -> std::optional<list::Membership> {
    const auto member = store::directory::find_member_or_person(read, list, key);
    if (!member) return std::nullopt;
    list::Membership found{member->moderation, {}};
    const auto mailbox = Mailbox::parse(member->address, Mailbox::Allow::utf8);
    if (mailbox && mailbox->key() != key) found.key = mailbox->key();
    return found;
  };
}

}  // namespace spoold::server
