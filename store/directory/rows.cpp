#include "store/directory/rows.hpp"

#include <algorithm>

#include "protocol/list/settings_table.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"
#include "store/broken.hpp"
#include "store/directory/scores.hpp"

namespace spoold::store::directory {

namespace {

/// A counter in meta. The ids made of it are node << bits | number.
struct Counter {
  const char* name;
  unsigned bits;
  const char* what;
};
constexpr Counter lists_counter{"last_list", 22, "lists"}, members_counter{"last_member", 30, "members"},
    imports_counter{"last_import", 48, "imports"}, persons_counter{"last_person", 30, "persons"};

std::uint64_t last_number(const Read& read, const Counter& counter) {
  const auto last = read.get(Table::meta, counter.name);
  return last ? KeyReader(*last).u64() : 0;
}

std::uint64_t next_number(Write& write, const Counter& counter, std::uint64_t given) {
  if (given != 0) {
    const std::uint64_t number = given & ((std::uint64_t{1} << counter.bits) - 1);
    if (given >> counter.bits == own_node(write) && number > last_number(write, counter))
      write.put(Table::meta, counter.name, Key().u64(number));
    return given;
  }
  const std::uint64_t number = last_number(write, counter) + 1;
  if (number >> counter.bits != 0)
    throw Broken(Error::Kind::full,
                 std::string("this node has given out all its numbers for ") + counter.what);
  write.put(Table::meta, counter.name, Key().u64(number));
  return std::uint64_t{own_node(write)} << counter.bits | number;
}

}  // namespace

std::string place_of(std::string_view address_key) {
  const mail::Address address(address_key);
  if (address.domain.empty()) return {};
  std::string place(address.domain);
  place += '\0';
  place += address.local;
  return place;  // not `return place += ...`: that would copy it
}

std::string address_key_of(std::string_view place) {
  const std::size_t end = place.find('\0');
  if (end == std::string_view::npos) return {};
  std::string key(place.substr(end + 1));
  key += '@';
  key += place.substr(0, end);
  return key;
}

Key list_key(ListId id) {
  return Key().u32(id);
}
Key rules_key(ListId id, std::string_view name) {
  return Key().u32(id).raw(name);
}
Key list_name_key(std::string_view local, std::string_view domain) {
  return Key().str(domain).raw(local);
}
Key member_key(ListId list, std::string_view place) {
  return Key().u32(list).raw(place);
}
Key membership_key(std::string_view place, ListId list) {
  return Key().raw(place).u8(0).u32(list);
}

std::string pack(const List& list, const Texts& unread) {
  const auto is_unread = [&unread](std::string_view name) {
    return std::any_of(unread.begin(), unread.end(), [name](const auto& one) { return one.first == name; });
  };
  Packer out;
  out.str(list.local).str(list.domain).time(list.created);
  out.num(list.roster_version).num(list.last_post).num(list.members);
  Texts settings = unread;
  for (const list::SettingKey& key : list::setting_keys())
    if (!key.apart && !is_unread(key.name)) settings.emplace_back(key.name, key.print(list.settings));
  out.num(settings.size());
  for (const auto& [name, text] : settings) out.str(name).str(text);
  out.num(list.settings.moderation.rules_version);
  return out.take();
}

List unpack_list(ListId id, std::string_view record,
                 const std::function<void(std::string_view, std::string_view)>& unread) {
  const Key key_of_it = list_key(id);
  Unpacker in(record, "list", key_of_it);
  List list;
  list.id = id;
  list.local = in.text();
  list.domain = in.text();
  list.created = in.time();
  list.roster_version = in.num();
  list.last_post = in.num32();
  list.members = in.num();
  for (std::uint64_t left = in.num(); left > 0; --left) {
    const std::string_view name = in.str(), text = in.str();
    const list::SettingKey* key = nullptr;
    for (const auto& known : list::setting_keys())
      if (known.name == name) key = &known;
    // Of another version: that is no reason to stop; the setting keeps its default.
    if ((!key || !key->read(list.settings, text)) && unread) unread(name, text);
  }
  if (!in.at_end()) list.settings.moderation.rules_version = in.num32();
  return list;
}

std::uint64_t roster_version(ListId id, std::string_view record) {
  const Key key = list_key(id);
  Unpacker in(record, "list", key);
  in.str();
  in.str();
  in.time();
  return in.num();
}

std::vector<std::string> unread_settings(const Read& read) {
  std::vector<std::string> out;
  read.each(Table::list, {}, [&](auto key, auto record) {
    std::vector<std::pair<std::string, std::string>> unread;
    const List list =
        unpack_list(KeyReader(key).u32(), record,
                    [&](std::string_view name, std::string_view text) { unread.emplace_back(name, text); });
    for (const auto& [name, text] : unread)
      out.push_back(
          "list " + list.address() + ": this spoold cannot read the setting " + name + " = '" + text +
          "', which another version wrote: it keeps the text and uses the default until spoolctl sets it");
    return true;
  });
  return out;
}

std::optional<List> load(const Read& read, ListId id) {
  const auto record = read.get(Table::list, list_key(id));
  if (!record) return {};
  return unpack_list(id, *record);
}

void load_rules(const Read& read, List& list) {
  if (list.settings.moderation.rules_version == 0) return;
  for (const list::SettingKey& key : list::setting_keys())
    if (key.apart)
      if (const auto text = read.get(Table::list_rules, rules_key(list.id, key.name)))
        (void)key.read(list.settings, *text);
}

void save_rules(Write& write, const List& list) {
  for (const list::SettingKey& key : list::setting_keys()) {
    if (!key.apart) continue;
    const std::string text = key.print(list.settings);
    if (text.empty())
      write.del(Table::list_rules, rules_key(list.id, key.name));
    else
      write.put(Table::list_rules, rules_key(list.id, key.name), text);
  }
}

void del_rules(Write& write, ListId id) {
  for (const list::SettingKey& key : list::setting_keys())
    if (key.apart) write.del(Table::list_rules, rules_key(id, key.name));
}

Texts unread_of(const Read& read, ListId id) {
  Texts unread;
  if (const auto record = read.get(Table::list, list_key(id)))
    unpack_list(id, *record,
                [&](std::string_view name, std::string_view text) { unread.emplace_back(name, text); });
  return unread;
}

void save(Write& write, const List& list) {
  save(write, list, unread_of(write, list.id));
}

void save(Write& write, const List& list, const Texts& unread) {
  write.put(Table::list, list_key(list.id), pack(list, unread));
}

namespace {
constexpr std::uint8_t no_action = 0xff;  // in front of what stands behind the action

// One octet says which preferences are set, and what else follows.
constexpr std::uint8_t own_posts_set = 1, own_posts_on = 2, duplicates_set = 4, duplicates_on = 8,
                       has_language = 16, has_vacation = 32, has_person = 64;

std::uint8_t bits_of(const MemberRow& row) {
  const list::Preferences& p = row.preferences;
  const auto two = [](const std::optional<bool>& wish, unsigned set, unsigned on) {
    return !wish ? 0U : *wish ? set | on : set;
  };
  unsigned bits =
      two(p.own_posts, own_posts_set, own_posts_on) | two(p.avoid_duplicates, duplicates_set, duplicates_on);
  if (!p.language.empty()) bits |= has_language;
  if (p.has_vacation()) bits |= has_vacation;
  if (row.person != 0) bits |= has_person;
  return static_cast<std::uint8_t>(bits);
}
}  // namespace

std::string pack(const MemberRow& row) {
  Packer out;
  out.num(row.import).num(row.id).word(row.delivery).time(row.joined).str(row.local).str(row.name);
  const std::uint8_t bits = bits_of(row);
  if (row.moderation)
    out.word(*row.moderation);
  else if (row.one_copy || bits != 0)
    out.u8(no_action);
  if (row.one_copy || bits != 0) out.flag(row.one_copy);
  if (bits == 0) return out.take();
  out.u8(bits);
  if ((bits & has_language) != 0) out.str(row.preferences.language);
  if ((bits & has_vacation) != 0) out.time(row.preferences.away_from).time(row.preferences.away_until);
  if ((bits & has_person) != 0) out.num(row.person);
  return out.take();
}

MemberRow unpack_member(std::string_view record) {
  Unpacker in(record, "member");
  MemberRow row;
  row.import = in.num();
  row.id = in.num();
  row.delivery = in.word(list::last_delivery);
  row.joined = in.time();
  row.local = in.str();
  row.name = in.str();
  if (in.at_end()) return row;
  if (static_cast<std::uint8_t>(in.rest().front()) == no_action)
    in.u8();
  else
    row.moderation = in.word(list::Action::discard);
  if (!in.at_end()) row.one_copy = in.flag();
  if (in.at_end()) return row;
  const std::uint8_t bits = in.u8();
  list::Preferences& p = row.preferences;
  if ((bits & own_posts_set) != 0) p.own_posts = (bits & own_posts_on) != 0;
  if ((bits & duplicates_set) != 0) p.avoid_duplicates = (bits & duplicates_on) != 0;
  if ((bits & has_language) != 0) p.language = in.str();
  if ((bits & has_vacation) != 0) {
    p.away_from = in.time();
    p.away_until = in.time();
  }
  if ((bits & has_person) != 0) row.person = in.num();
  return row;
}

Member member_of(std::string_view place, const MemberRow& row) {
  Member member;
  member.id = row.id;
  member.address = address_key_of(place);
  if (!row.local.empty()) member.address.replace(0, row.local.size(), row.local);
  member.name = row.name;
  member.delivery = row.delivery;
  member.joined = row.joined;
  member.moderation = row.moderation;
  member.one_copy = row.one_copy;
  member.preferences = row.preferences;
  member.person = row.person;
  return member;
}

std::string pack(const ImportRow& row) {
  Packer out;
  out.word(row.kind).num(row.list).num(row.rows).str(row.at);
  return out.take();
}

ImportRow unpack_import(std::string_view record) {
  Unpacker in(record, "import");
  ImportRow row;
  row.kind = in.word(ImportRow::Kind::list_removed);
  row.list = in.num32();
  row.rows = in.num();
  row.at = in.text();
  return row;
}

std::vector<std::uint64_t> pending_imports(const Read& read, ListId list) {
  std::vector<std::uint64_t> pending;
  read.each(Table::import, {}, [&](std::string_view key, std::string_view record) {
    if (unpack_import(record).list == list) pending.push_back(KeyReader(key).u64());
    return true;
  });
  return pending;
}

bool visible(const Read& read, const MemberRow& row) {
  return row.import == 0 || !read.has(Table::import, Key().u64(row.import));
}

void put_member(Write& write, ListId list, std::string_view place, const MemberRow& row) {
  write.put(Table::member, member_key(list, place), pack(row));
  write.put(Table::member_by_id, Key().u40(row.id), Key().u32(list).raw(place));
  write.put(Table::membership, membership_key(place, list), {});
}

void del_member(Write& write, ListId list, std::string_view place, MemberId id, bool forget_id) {
  write.del(Table::member, member_key(list, place));
  write.del(Table::membership, membership_key(place, list));
  del_score(write, list, place);
  if (forget_id) write.del(Table::member_by_id, Key().u40(id));
}

ListId next_list_id(Write& write, ListId given) {
  return static_cast<ListId>(next_number(write, lists_counter, given));
}
MemberId next_member_id(Write& write, MemberId given) {
  return next_number(write, members_counter, given);
}
ImportId next_import_id(Write& write, ImportId given) {
  return next_number(write, imports_counter, given);
}
PersonId next_person_id(Write& write, PersonId given) {
  return next_number(write, persons_counter, given);
}

std::string_view local_as_given(std::string_view address) {
  const std::string_view local = mail::Address(address).local;
  for (char c : local)
    if (mail::lower(c) != c) return local;
  return {};
}

}  // namespace spoold::store::directory
