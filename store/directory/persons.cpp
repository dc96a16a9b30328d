#include "store/directory/persons.hpp"

#include <algorithm>

#include "protocol/mail/mailbox.hpp"
#include "store/directory/changes.hpp"
#include "store/directory/rows.hpp"

namespace spoold::store::directory {
namespace {

Key person_key(PersonId id) {
  return Key().u40(id);
}

std::string pack(const Person& person) {
  Packer out;
  out.str(person.uuid).str(person.name).time(person.created).num(person.addresses.size());
  for (const PersonAddress& one : person.addresses) out.str(one.address).time(one.verified);
  const list::PreferenceTexts texts = list::texts_of(person.preferences);
  out.num(texts.size());
  for (const auto& [name, text] : texts) out.str(name).str(text);
  return out.take();
}

Person unpack(PersonId id, std::string_view record) {
  const Key key = person_key(id);
  Unpacker in(record, "person", key);
  Person person;
  person.id = id;
  person.uuid = in.text();
  person.name = in.text();
  person.created = in.time();
  for (std::uint64_t left = in.num(); left > 0; --left) {
    PersonAddress& one = person.addresses.emplace_back();
    one.address = in.text();
    one.verified = in.time();
  }
  for (std::uint64_t left = in.num(); left > 0; --left) {
    const std::string_view name = in.str(), text = in.str();
    (void)list::set(person.preferences, name, text);  // of a later version: it says nothing here
  }
  return person;
}

PersonId id_at(const Read& read, std::string_view place) {
  if (place.empty()) return 0;
  const auto id = read.get(Table::person_address, place);
  return id ? KeyReader(*id).u40() : 0;
}

/// All rows of members with this address, those of an import that has not ended too.
void write_rows_anew(Write& write, const std::string& place, PersonId person) {
  std::vector<ListId> lists;  // first found, then written: writing moves what a cursor stands on
  const Key prefix = Key().raw(place).u8(0);
  write.each(Table::membership, prefix, [&](std::string_view key, std::string_view) {
    lists.push_back(KeyReader(key.substr(prefix.view().size())).u32());
    return true;
  });
  for (const ListId id : lists) {
    const auto record = write.get(Table::member, member_key(id, place));
    if (!record) continue;
    const std::string copy(*record);
    MemberRow row = unpack_member(copy);
    if (row.person == person) continue;
    row.person = person;
    write.put(Table::member, member_key(id, place), directory::pack(row));
    if (auto list = load(write, id)) {
      ++list->roster_version;
      save(write, *list);
    }
  }
}

void put(Write& write, const Person& person) {
  write.put(Table::person, person_key(person.id), pack(person));
  for (const PersonAddress& one : person.addresses) {
    const std::string place = place_of(key_of(one.address));
    write.put(Table::person_address, place, Key().u40(person.id));
    write_rows_anew(write, place, one.is_verified() ? person.id : 0);
  }
}

}  // namespace

std::optional<Person> person(const Read& read, PersonId id) {
  if (id == 0 || id >> 40 != 0) return std::nullopt;
  const auto record = read.get(Table::person, person_key(id));
  if (!record) return std::nullopt;
  return unpack(id, *record);
}

std::optional<Person> person_of(const Read& read, std::string_view address_key) {
  if (address_key.size() > 320 || address_key.find('\0') != std::string_view::npos) return std::nullopt;
  return person(read, id_at(read, place_of(address_key)));
}

PersonId verified_person(const Read& read, std::string_view place) {
  const PersonId id = id_at(read, place);
  if (id == 0) return 0;
  const auto found = person(read, id);
  if (!found) return 0;
  const std::string key = address_key_of(place);
  const auto own = std::ranges::find_if(found->addresses,
                                        [&](const PersonAddress& one) { return key_of(one.address) == key; });
  return own != found->addresses.end() && own->is_verified() ? id : 0;
}

std::vector<Person> persons(const Read& read, PersonId after, std::size_t limit) {
  std::vector<Person> found;
  Cursor cursor = read.cursor(Table::person);
  for (bool more = cursor.seek(person_key(after + 1)); more && found.size() < limit; more = cursor.next())
    found.push_back(unpack(KeyReader(cursor.key()).u40(), cursor.value()));
  return found;
}

std::optional<Member> find_member_or_person(const Read& read, ListId list, std::string_view address_key) {
  if (auto member = find_member(read, list, address_key)) return member;
  const auto who = person_of(read, address_key);
  if (!who) return std::nullopt;
  const auto asks = std::ranges::find_if(
      who->addresses, [&](const PersonAddress& one) { return key_of(one.address) == address_key; });
  if (asks == who->addresses.end() || !asks->is_verified()) return std::nullopt;
  std::optional<Member> first;
  for (const PersonAddress& one : who->addresses) {
    if (!one.is_verified()) continue;
    auto member = find_member(read, list, key_of(one.address));
    if (!member) continue;
    if (member->delivery == list::Delivery::regular) return member;
    if (!first) first = std::move(member);
  }
  return first;
}

list::Preferences preferences_of(const Read& read, const Member& member) {
  const auto who = person(read, member.person);
  return who ? list::layered(member.preferences, who->preferences) : member.preferences;
}

std::vector<std::string> address_keys_of(const Read& read, const Member& member) {
  std::vector<std::string> keys{key_of(member.address)};
  if (const auto who = person(read, member.person))
    for (const PersonAddress& one : who->addresses)
      if (one.is_verified()) keys.push_back(key_of(one.address));
  std::ranges::sort(keys);
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

Result<Person> add_address(Write& write, std::string_view of, const std::string& address, bool verified,
                           TimePoint now, AddedAddress& made) {
  const auto owner = Mailbox::parse(std::string(of), Mailbox::Allow::utf8),
             mailbox = Mailbox::parse(address, Mailbox::Allow::utf8);
  if (!owner) return fail(Error::Kind::invalid, "'" + std::string(of) + "': " + owner.error());
  if (!mailbox) return fail(Error::Kind::invalid, "'" + address + "': " + mailbox.error());
  auto who = person_of(write, owner->key());
  const PersonId has_it = id_at(write, place_of(mailbox->key()));
  if (has_it != 0 && (!who || has_it != who->id))
    return fail(Error::Kind::conflict, mailbox->key() + " is an address of another person already");
  if (!who) {
    if (!has_it && owner->key() == mailbox->key() && !verified)
      return fail(Error::Kind::invalid, "the first address of a person must be verified");
    made.made = next_person_id(write, made.made);
    if (made.uuid.empty()) made.uuid = new_operation_id();
    who.emplace();
    who->id = made.made;
    who->uuid = made.uuid;
    who->created = now;
    who->addresses.push_back({owner->text(), now});
  }
  const auto same = std::ranges::find_if(
      who->addresses, [&](const PersonAddress& one) { return key_of(one.address) == mailbox->key(); });
  if (same != who->addresses.end()) {
    if (verified && !same->is_verified()) same->verified = now;
  } else {
    if (who->addresses.size() >= most_addresses)
      return fail(Error::Kind::full, "a person has at most " + std::to_string(most_addresses) + " addresses");
    who->addresses.push_back({mailbox->text(), verified ? now : TimePoint{}});
  }
  put(write, *who);
  return *std::move(who);
}

Result<Person> remove_address(Write& write, std::string_view address_key) {
  auto who = person_of(write, address_key);
  if (!who) return fail(Error::Kind::not_found, std::string(address_key) + " is no address of a person");
  std::erase_if(who->addresses, [&](const PersonAddress& one) { return key_of(one.address) == address_key; });
  const std::string place = place_of(address_key);
  write.del(Table::person_address, place);
  write_rows_anew(write, place, 0);
  if (who->addresses.empty())
    write.del(Table::person, person_key(who->id));
  else
    put(write, *who);
  return *std::move(who);
}

Result<Person> set_person(Write& write, const Person& changed) {
  auto who = person(write, changed.id);
  if (!who) return fail(Error::Kind::not_found, "there is no such person");
  if (auto fault = list::member_name_fault(changed.name)) return fail(Error::Kind::invalid, *fault);
  who->name = changed.name;
  who->preferences = changed.preferences;
  who->addresses = changed.addresses;
  put(write, *who);
  return *std::move(who);
}

}  // namespace spoold::store::directory
