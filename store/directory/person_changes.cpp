// Persons with several addresses: the parts of apply() that decide about them.
#include <algorithm>

#include "protocol/mail/mailbox.hpp"
#include "store/directory/operations.hpp"
#include "store/directory/persons.hpp"

namespace spoold::store::directory {

Result<void> change_person(Write& write, AddAddress& c, TimePoint at, bool following, Applied& applied) {
  AddedAddress made;
  if (following) made = {c.person, c.uuid};
  auto who = add_address(write, c.of, c.address, c.verified, at, made);
  if (!who) return tl::unexpected(who.error());
  c.person = made.made;
  c.uuid = made.uuid;
  applied.events.push_back("added " + c.address + (c.verified ? "" : ", which is not verified,") +
                           " to the addresses of " + c.of);
  applied.person = std::move(*who);
  return {};
}

Result<void> change_person(Write& write, const RemoveAddress& c, Applied& applied) {
  auto who = remove_address(write, c.address);
  if (!who) return tl::unexpected(who.error());
  applied.events.push_back(
      "removed " + c.address + " from the addresses of " +
      (who->addresses.empty() ? "its person, who has none any more" : who->addresses.front().address));
  applied.person = std::move(*who);
  return {};
}

Result<void> change_person(Write& write, const SetPerson& c, TimePoint at, Applied& applied) {
  auto who = person_of(write, c.address);
  if (!who) return fail(Error::Kind::not_found, c.address + " is no address of a person");
  auto preferences = list::with(who->preferences, c.preferences);
  if (!preferences) return fail(Error::Kind::invalid, preferences.error());
  who->preferences = *std::move(preferences);
  if (c.name) who->name = *c.name;
  const auto own = std::ranges::find_if(who->addresses, [&](const PersonAddress& one) {
    const auto mailbox = Mailbox::parse(one.address, Mailbox::Allow::utf8);
    return mailbox && mailbox->key() == c.address;
  });
  if (own == who->addresses.end()) return fail(Error::Kind::not_found, c.address + " is no address of his");
  if (c.verified && *c.verified != own->is_verified()) own->verified = *c.verified ? at : TimePoint{};
  if (c.preferred) std::rotate(who->addresses.begin(), own, own + 1);
  auto set = set_person(write, *who);
  if (!set) return tl::unexpected(set.error());
  std::string what = "set the person of " + c.address + ":";
  for (const auto& [name, text] : c.preferences) what += " " + name + "=" + text;
  if (c.name) what += " name=" + *c.name;
  if (c.verified) what += *c.verified ? " verified" : " not verified";
  if (c.preferred) what += " preferred";
  applied.events.push_back(std::move(what));
  applied.person = std::move(*set);
  return {};
}

}  // namespace spoold::store::directory
