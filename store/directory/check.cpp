// Invariants of the directory, as `spoolctl check` asks for them.
#include <map>

#include "store/directory/rows.hpp"

namespace spoold::store::directory {

std::vector<std::string> check(const Read& read) {
  std::vector<std::string> problems;
  std::map<ListId, List> known;
  read.each(Table::list, {}, [&](std::string_view key, std::string_view record) {
    const ListId id = KeyReader(key).u32();
    known[id] = unpack_list(id, record);
    return true;
  });
  for (const auto& [id, list] : known) {
    const auto named = read.get(Table::list_name, list_name_key(list.local, list.domain));
    if (!named || KeyReader(*named).u32() != id)
      problems.push_back("list " + list.address() + " is not found by its name");
    std::uint64_t members = 0;
    visit_members(read, id, {}, [&](const MemberView&) {
      ++members;
      return true;
    });
    if (members != list.members)
      problems.push_back("list " + list.address() + " counts " + std::to_string(list.members) +
                         " members and has " + std::to_string(members));
  }
  if (read.entries(Table::list_name) != known.size())
    problems.push_back("table list_name has " + std::to_string(read.entries(Table::list_name)) +
                       " rows for " + std::to_string(known.size()) + " lists");
  std::uint64_t rows = 0;
  read.each(Table::member, {}, [&](std::string_view key, std::string_view record) {
    ++rows;
    const ListId list = KeyReader(key).u32();
    const std::string_view place = key.substr(4);
    const MemberRow row = unpack_member(record);
    const auto who = [&] { return address_key_of(place) + " of list " + std::to_string(list); };
    const auto located = read.get(Table::member_by_id, Key().u40(row.id));
    if (!located || *located != key) problems.push_back("member " + who() + " is not found by its id");
    if (!read.has(Table::membership, membership_key(place, list)))
      problems.push_back("member " + who() + " is not found by its address");
    return problems.size() < 100;
  });
  if (problems.size() < 100 && read.entries(Table::membership) != rows)
    problems.push_back("table membership has " + std::to_string(read.entries(Table::membership)) +
                       " rows for " + std::to_string(rows) + " members");
  return problems;
}

}  // namespace spoold::store::directory
