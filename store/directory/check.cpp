#include "store/directory/check.hpp"

#include <utility>

#include "store/broken.hpp"
#include "store/directory/rows.hpp"
#include "store/directory/users.hpp"

namespace spoold::store::directory {
namespace {

constexpr std::size_t most_problems = 100;
constexpr std::size_t members_at_once = 10'000;

std::uint64_t count_members(const Read& read, ListId id) {
  std::uint64_t members = 0;
  visit_members(read, id, {}, [&](const MemberView&) {
    ++members;
    return true;
  });
  return members;
}

std::string miscount(const List& list, std::uint64_t members) {
  return "list " + list.address() + " counts " + std::to_string(list.members) + " members and has " +
         std::to_string(members);
}

}  // namespace

bool Check::step(const Read& read) {
  if (problems.size() >= most_problems) return false;
  try {
    if (!lists_done_) {
      lists_done_ = !list(read);
      return true;
    }
    return members(read);
  } catch (const Broken& broken) {
    problems.push_back(broken.error.text);
    return !std::exchange(lists_done_, true);
  }
}

bool Check::list(const Read& read) {
  Cursor c = read.cursor(Table::list);
  if (!c.seek(list_key(after_ + 1))) {
    // Both tables in one state, so that nothing which is made meanwhile counts in one of them only.
    if (read.entries(Table::list_name) != read.entries(Table::list))
      problems.push_back("table list_name has " + std::to_string(read.entries(Table::list_name)) +
                         " rows for " + std::to_string(read.entries(Table::list)) + " lists");
    if (read.entries(Table::membership) != read.entries(Table::member))
      problems.push_back("table membership has " + std::to_string(read.entries(Table::membership)) +
                         " rows for " + std::to_string(read.entries(Table::member)) + " members");
    for (auto page = users(read, {}, 1000); !page.empty(); page = users(read, page.back().name, 1000))
      continue;  // a row that cannot be read throws
    return false;
  }
  after_ = KeyReader(c.key()).u32();
  const List list = unpack_list(after_, c.value());
  const auto named = read.get(Table::list_name, list_name_key(list.local, list.domain));
  if (!named || KeyReader(*named).u32() != list.id)
    problems.push_back("list " + list.address() + " is not found by its name");
  if (const auto members = count_members(read, list.id); members != list.members) {
    problems.push_back(miscount(list, members));
    miscounted.push_back(list.id);
  }
  return true;
}

bool Check::members(const Read& read) {
  Cursor c = read.cursor(Table::member);
  bool more = c.seek(after_member_);
  if (more && c.key() == after_member_) more = c.next();
  for (std::size_t i = 0; more && i < members_at_once; ++i, more = c.next()) {
    after_member_ = c.key();
    const ListId list = KeyReader(c.key()).u32();
    const std::string_view place = c.key().substr(4);
    const MemberRow row = unpack_member(c.value());
    const auto who = [&] { return address_key_of(place) + " of list " + std::to_string(list); };
    const auto located = read.get(Table::member_by_id, Key().u40(row.id));
    if (!located || *located != c.key()) problems.push_back("member " + who() + " is not found by its id");
    if (!read.has(Table::membership, membership_key(place, list)))
      problems.push_back("member " + who() + " is not found by its address");
    if (row.person != verified_person(read, place))
      problems.push_back("member " + who() + " names another person than the one who has the address");
    if (problems.size() >= most_problems) return false;
  }
  return more;
}

std::string repair_list(Write& write, ListId id) {
  auto list = load(write, id);
  if (!list) return {};
  const auto members = count_members(write, id);
  if (members == list->members) return {};
  std::string what = miscount(*list, members);
  list->members = static_cast<decltype(list->members)>(members);
  save(write, *list);
  return what;
}

std::vector<std::string> check(const Read& read) {
  Check check;
  while (check.step(read)) continue;
  return check.problems;
}

}  // namespace spoold::store::directory
