// Lists that have to do with each other: members that are lists, and lists whose members get each other's posts.
#include <unordered_set>

#include "protocol/mail/mailbox.hpp"
#include "store/directory/directory.hpp"
#include "store/directory/rows.hpp"

namespace spoold::store::directory {

std::vector<ListId> lists_among_members(const Read& read, ListId id) {
  std::vector<ListId> found;
  const Key prefix = list_key(id);
  Cursor names = read.cursor(Table::list_name), members = read.cursor(Table::member);
  // Both are in the order of domain and local part: each cursor jumps to where the other one stands.
  for (bool more = names.first(); more;) {
    const std::string name(names.key());
    if (!members.seek(member_key(id, name)) || !members.at(prefix)) break;
    const std::string place(members.key().substr(prefix.view().size()));
    if (place != name) {
      more = names.seek(place);
      continue;
    }
    const MemberRow row = unpack_member(members.value());
    const ListId nested = KeyReader(names.value()).u32();
    if (nested != id && row.delivery == list::Delivery::regular && visible(read, row))
      found.push_back(nested);
    more = names.next();
  }
  return found;
}

bool leads_to(const Read& read, ListId from, ListId to) {
  constexpr std::size_t most = 10'000;
  std::vector<ListId> todo{from};
  std::unordered_set<ListId> seen{from};
  while (!todo.empty() && seen.size() < most) {
    const ListId id = todo.back();
    todo.pop_back();
    if (id == to) return true;
    for (const ListId next : lists_among_members(read, id))
      if (seen.insert(next).second) todo.push_back(next);
  }
  return false;
}

std::vector<ListId> list_ids(const Read& read, const std::vector<std::string>& addresses) {
  std::vector<ListId> ids;
  for (const std::string& text : addresses) {
    const auto mailbox = Mailbox::parse(text);
    if (!mailbox) continue;
    const std::string key = mailbox->key();
    if (const auto id = read.get(Table::list_name, place_of(key))) ids.push_back(KeyReader(*id).u32());
  }
  return ids;
}

std::optional<ListId> list_of_reader(const Read& read, const List& list, std::string_view address_key) {
  if (find_member(read, list.id, address_key)) return list.id;
  for (const ListId id : list_ids(read, list.settings.include_lists))
    if (find_member(read, id, address_key)) return id;
  return std::nullopt;
}

}  // namespace spoold::store::directory
