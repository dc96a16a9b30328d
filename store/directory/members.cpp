// Members: find, page, visit, add, set, remove.
#include <algorithm>

#include "store/directory/operations.hpp"
#include "store/directory/rows.hpp"

namespace spoold::store::directory {

namespace {

constexpr std::size_t max_key = 320;  // of an address: what is longer is no member's

struct Checked {
  Mailbox mailbox;
  std::string place;
};

Result<Checked> checked(const Member& member) {
  auto mailbox = Mailbox::parse(member.address, Mailbox::Allow::utf8);
  if (!mailbox) return fail(Error::Kind::invalid, "'" + member.address + "': " + mailbox.error());
  if (auto fault = list::member_name_fault(member.name)) return fail(Error::Kind::invalid, *fault);
  std::string place = place_of(mailbox->key());
  return Checked{std::move(*mailbox), std::move(place)};
}

/// The row of a member that can be seen.
std::optional<MemberRow> row_at(const Read& read, ListId list, std::string_view place) {
  const auto record = read.get(Table::member, member_key(list, place));
  if (!record) return {};
  const MemberRow row = unpack_member(*record);
  if (!visible(read, row)) return {};
  return row;
}

tl::unexpected<Error> no_list() {
  return fail(Error::Kind::not_found, "there is no such list");
}
tl::unexpected<Error> no_member(const List& list, std::string_view who) {
  return fail(Error::Kind::not_found, std::string(who) + " is not a member of " + list.address());
}

void changed(Write& write, List& list) {
  ++list.roster_version;
  save(write, list);
}

}  // namespace

std::optional<Member> find_member(const Read& read, ListId list, std::string_view address_key) {
  if (address_key.size() > max_key || address_key.find('\0') != std::string_view::npos) return {};
  const std::string place = place_of(address_key);
  if (place.empty() || !read.has(Table::list, list_key(list))) return {};
  const auto row = row_at(read, list, place);
  if (!row) return {};
  return member_of(place, *row);
}

std::optional<Located> member_by_id(const Read& read, MemberId id) {
  if (id >> 40 != 0) return {};
  const auto found = read.get(Table::member_by_id, Key().u40(id));
  if (!found) return {};
  KeyReader key(*found);
  Located located{key.u32(), {}, false};
  const std::string_view place = key.rest();
  if (!read.has(Table::list, list_key(located.list))) return {};
  if (const auto record = read.get(Table::member, member_key(located.list, place))) {
    const MemberRow row = unpack_member(*record);
    if (row.id == id) {
      if (!visible(read, row)) return {};
      located.member = member_of(place, row);
      return located;
    }
  }
  located.departed = true;
  located.member.id = id;
  located.member.address = address_key_of(place);
  return located;
}

std::string visit_members(const Read& read, ListId list, std::string_view after,
                          const std::function<bool(const MemberView&)>& visit) {
  if (!read.has(Table::list, list_key(list))) return {};
  const std::vector<std::uint64_t> pending = pending_imports(read, list);
  const Key prefix = list_key(list);
  Cursor cursor = read.cursor(Table::member);
  bool more = cursor.seek(after.empty() ? prefix : member_key(list, after));
  if (more && !after.empty() && cursor.key() == member_key(list, after).view()) more = cursor.next();
  std::string key, address;
  for (; more && cursor.at(prefix); more = cursor.next()) {
    const MemberRow row = unpack_member(cursor.value());
    if (row.import != 0 && std::find(pending.begin(), pending.end(), row.import) != pending.end()) continue;
    const std::string_view place = cursor.key().substr(4);
    const std::size_t end = place.find('\0');
    if (end == std::string_view::npos) continue;
    key.assign(place.substr(end + 1)).append(1, '@').append(place.substr(0, end));
    MemberView view;
    view.id = row.id;
    view.key = view.address = key;
    if (!row.local.empty()) {
      address.assign(row.local).append(1, '@').append(place.substr(0, end));
      view.address = address;
    }
    view.domain = std::string_view(key).substr(key.size() - end);
    view.delivery = row.delivery;
    view.one_copy = row.one_copy;
    view.avoid_duplicates = row.preferences.avoid_duplicates;
    view.away_from = row.preferences.away_from;
    view.away_until = row.preferences.away_until;
    view.person = row.person;
    // `visit` may have written through the same transaction: only copies of ours are good behind it
    if (!visit(view)) return place_of(view.key);
  }
  return {};
}

Page members(const Read& read, ListId list, std::string_view after, std::size_t limit) {
  Page page;
  if (limit == 0) return page;
  // MemberView leaves out what the expansion does not need: read the whole row for a page
  page.after = visit_members(read, list, after, [&](const MemberView& view) {
    const std::string place = place_of(view.key);
    page.members.push_back(member_of(place, *row_at(read, list, place)));
    return page.members.size() < limit;
  });
  return page;
}

std::vector<ListId> lists_of_member(const Read& read, std::string_view address_key) {
  std::vector<ListId> found;
  if (address_key.size() > max_key || address_key.find('\0') != std::string_view::npos) return found;
  const std::string place = place_of(address_key);
  if (place.empty()) return found;
  const Key prefix = Key().raw(place).u8(0);
  read.each(Table::membership, prefix, [&](std::string_view key, std::string_view) {
    const ListId list = KeyReader(key.substr(prefix.view().size())).u32();
    if (read.has(Table::list, list_key(list)) && row_at(read, list, place)) found.push_back(list);
    return true;
  });
  return found;
}

Result<Member> add_member(Write& write, ListId id, const Member& member, TimePoint now) {
  auto list = load(write, id);
  if (!list) return no_list();
  auto good = checked(member);
  if (!good) return tl::unexpected(good.error());
  if (auto fault = own_address_fault(write, id, good->place)) return fail(Error::Kind::invalid, *fault);
  MemberRow row;
  if (const auto record = write.get(Table::member, member_key(id, good->place))) {
    const MemberRow old = unpack_member(*record);
    if (visible(write, old))
      return fail(Error::Kind::conflict,
                  good->mailbox.key() + " is a member of " + list->address() + " already");
    // The row of an import that has not finished (or was cut off): from here on it is this member's own.
    row.id = member.id != 0 ? next_member_id(write, member.id) : old.id;
    if (row.id != old.id) write.del(Table::member_by_id, Key().u40(old.id));
    const Key import = Key().u64(old.import);
    ImportRow pending = unpack_import(*write.get(Table::import, import));
    if (pending.rows > 0) --pending.rows;
    write.put(Table::import, import, pack(pending));
  } else {
    row.id = next_member_id(write, member.id);
  }
  const std::string address = good->mailbox.text();
  row.delivery = member.delivery;
  row.moderation = member.moderation;
  row.one_copy = member.one_copy;
  row.preferences = member.preferences;
  row.person = verified_person(write, good->place);
  row.joined = member.joined == TimePoint{} ? now : member.joined;
  row.local = local_as_given(address);
  row.name = member.name;
  put_member(write, id, good->place, row);
  ++list->members;
  changed(write, *list);
  return member_of(good->place, row);
}

Result<Member> set_member(Write& write, ListId id, const Member& member, TimePoint) {
  auto list = load(write, id);
  if (!list) return no_list();
  auto good = checked(member);
  if (!good) return tl::unexpected(good.error());
  const auto old = row_at(write, id, good->place);
  if (!old) return no_member(*list, good->mailbox.key());
  const std::string address = good->mailbox.text();
  MemberRow row = *old;
  row.import = 0;
  row.delivery = member.delivery;
  row.moderation = member.moderation;
  row.one_copy = member.one_copy;
  row.preferences = member.preferences;
  if (member.joined != TimePoint{}) row.joined = member.joined;
  row.local = local_as_given(address);
  row.name = member.name;
  write.put(Table::member, member_key(id, good->place), pack(row));
  changed(write, *list);
  return member_of(good->place, row);
}

Result<Member> remove_member(Write& write, ListId id, std::string_view address_key, TimePoint) {
  auto list = load(write, id);
  if (!list) return no_list();
  auto member = find_member(write, id, address_key);
  if (!member) return no_member(*list, address_key);
  // member_by_id stays: a bounce that comes later still names the address
  del_member(write, id, place_of(address_key), member->id, false);
  if (list->members > 0) --list->members;
  changed(write, *list);
  return *member;
}

}  // namespace spoold::store::directory
