#include "store/directory/rows.hpp"

#include "protocol/list/settings_table.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"
#include "store/broken.hpp"

namespace spoold::store::directory {

namespace {

/// The next number of a counter in meta; ids are node << bits | number.
std::uint64_t next_number(Write& write, std::string_view name, unsigned bits, const char* what) {
  const auto last = write.get(Table::meta, name);
  const std::uint64_t number = (last ? KeyReader(*last).u64() : 0) + 1;
  if (number >> bits != 0)
    throw Broken(Error::Kind::full, std::string("this node has given out all its numbers for ") + what);
  write.put(Table::meta, name, Key().u64(number));
  const auto node = write.get(Table::meta, "node");
  return (node ? KeyReader(*node).u16() & 0x3ffull : 0) << bits | number;
}

}  // namespace

std::string place_of(std::string_view address_key) {
  const mail::Address address(address_key);
  if (address.domain.empty()) return {};
  std::string place(address.domain);
  place += '\0';
  return place += address.local;
}

std::string address_key_of(std::string_view place) {
  const std::size_t end = place.find('\0');
  if (end == std::string_view::npos) return {};
  std::string key(place.substr(end + 1));
  key += '@';
  return key += place.substr(0, end);
}

Key list_key(ListId id) {
  return Key().u32(id);
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

std::string pack(const List& list) {
  Packer out;
  out.str(list.local).str(list.domain).time(list.created);
  out.num(list.roster_version).num(list.last_post).num(list.members);
  out.num(list::setting_keys().size());
  for (const auto& key : list::setting_keys()) out.str(key.name).str(key.print(list.settings));
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
  return list;
}

std::vector<std::string> unread_settings(const Read& read) {
  std::vector<std::string> out;
  read.each(Table::list, {}, [&](auto key, auto record) {
    std::vector<std::pair<std::string, std::string>> unread;
    const List list =
        unpack_list(KeyReader(key).u32(), record,
                    [&](std::string_view name, std::string_view text) { unread.emplace_back(name, text); });
    for (const auto& [name, text] : unread)
      out.push_back("list " + list.address() + ": this spoold cannot read the setting " + name + " = '" +
                    text +
                    "', which another version wrote, and uses the default: set it again with spoolctl");
    return true;
  });
  return out;
}

std::optional<List> load(const Read& read, ListId id) {
  const auto record = read.get(Table::list, list_key(id));
  if (!record) return {};
  return unpack_list(id, *record);
}

void save(Write& write, const List& list) {
  write.put(Table::list, list_key(list.id), pack(list));
}

std::string pack(const MemberRow& row) {
  Packer out;
  out.num(row.import).num(row.id).word(row.delivery).time(row.joined).str(row.local).str(row.name);
  return out.take();
}

MemberRow unpack_member(std::string_view record) {
  Unpacker in(record, "member");
  MemberRow row;
  row.import = in.num();
  row.id = in.num();
  row.delivery = in.word(list::Delivery::nomail_by_bounce);
  row.joined = in.time();
  row.local = in.str();
  row.name = in.str();
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
  if (forget_id) write.del(Table::member_by_id, Key().u40(id));
}

ListId next_list_id(Write& write) {
  return static_cast<ListId>(next_number(write, "last_list", 22, "lists"));
}
MemberId next_member_id(Write& write) {
  return next_number(write, "last_member", 30, "members");
}

void log_change(Write& write, Change kind, ListId list, std::string_view key) {
  Cursor cursor = write.cursor(Table::change);
  const std::uint64_t sequence = cursor.last() ? KeyReader(cursor.key()).u64() + 1 : 1;
  Packer out;
  out.word(kind).num(list).str(key);
  write.append(Table::change, Key().u64(sequence), out.bytes());
}

bool trim_changes(Write& write, const std::function<bool()>& enough) {
  constexpr std::uint64_t kept = 100'000;
  for (unsigned looked = 1;; ++looked) {
    {
      Cursor cursor = write.cursor(Table::change);
      if (!cursor.last()) return true;
      const std::uint64_t last = KeyReader(cursor.key()).u64();
      if (!cursor.first() || last - KeyReader(cursor.key()).u64() < kept) return true;
      cursor.del(write);
    }
    if (looked % 64 == 0 && enough()) return false;
  }
}

std::string_view local_as_given(std::string_view address) {
  const std::string_view local = mail::Address(address).local;
  for (char c : local)
    if (mail::lower(c) != c) return local;
  return {};
}

}  // namespace spoold::store::directory
