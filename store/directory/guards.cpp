#include "store/directory/guards.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "store/directory/rows.hpp"

namespace spoold::store::directory {
namespace {

Key key_of(ListId list, std::string_view domain, std::string_view cause) {
  return Key().u32(list).str(domain).raw(cause.substr(0, 100));
}

bounce::Guard unpack(std::string_view record) {
  Unpacker in(record, "guard");
  bounce::Guard guard;
  guard.from = in.time();
  guard.failed = in.num32();
  guard.members = in.num32();
  guard.until = in.time();
  return guard;
}

}  // namespace

bounce::Guard guard_of(const Read& read, ListId list, std::string_view domain, std::string_view cause) {
  const auto record = read.get(Table::guard, key_of(list, domain, cause));
  return record ? unpack(*record) : bounce::Guard{};
}

std::uint32_t members_at(const Read& read, ListId list, std::string_view domain) {
  const Key prefix = Key().u32(list).str(domain);
  Cursor cursor = read.cursor(Table::member);
  std::uint32_t count = 0;
  for (bool more = cursor.seek(prefix); more && cursor.at(prefix); more = cursor.next()) ++count;
  return count;
}

void put_guard(Write& write, ListId list, std::string_view domain, std::string_view cause,
               const bounce::Guard& guard, TimePoint now) {
  const Key key = key_of(list, domain, cause);
  std::string over;
  {
    Cursor cursor = write.cursor(Table::guard);
    if (cursor.seek(key.view()) && (cursor.key() != key.view() || cursor.next()))
      if (const bounce::Guard next = unpack(cursor.value());
          std::max(next.until + bounce::guard_rests, next.from + bounce::guard_window) < now)
        over = cursor.key();
  }
  if (!over.empty()) write.del(Table::guard, over);
  Packer out;
  out.time(guard.from).num(guard.failed).num(guard.members).time(guard.until);
  write.put(Table::guard, key, out.take());
}

void forget_guards(Write& write, ListId list) {
  std::vector<std::string> keys;
  const Key prefix = list_key(list);
  Cursor cursor = write.cursor(Table::guard);
  for (bool more = cursor.seek(prefix); more && cursor.at(prefix); more = cursor.next())
    keys.emplace_back(cursor.key());
  for (const std::string& key : keys) write.del(Table::guard, key);
}

}  // namespace spoold::store::directory
