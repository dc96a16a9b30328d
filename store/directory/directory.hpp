// Lists and members. Reads take a short Read; each write is one named, idempotent operation on a Write, to be submitted
// as a Job (Store::submit). Knows nothing of the spool (design section 5).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "protocol/list/settings.hpp"
#include "store/error.hpp"

namespace spoold::store {

class Read;
class Write;
class Store;

namespace directory {

using list::List;
using list::ListId;
using list::Member;
using list::MemberId;

std::optional<List> find_list(const Read&, std::string_view local, std::string_view domain);  // lower case
std::optional<List> list(const Read&, ListId);
std::vector<List> lists(const Read&, ListId after, std::size_t limit);
std::vector<List> lists_of_domain(const Read&, std::string_view domain);
bool is_list_domain(const Read&, std::string_view domain);

std::optional<Member> find_member(const Read&, ListId, std::string_view address_key);
struct Located {
  ListId list;
  Member member;
};
std::optional<Located> member_by_id(const Read&, MemberId);
/// Members in domain order: (domain, local part) > after; `after` empty: from the start. Returns the key to go on with.
struct Page {
  std::vector<Member> members;
  std::string after;  // empty: no more
};
Page members(const Read&, ListId, std::string_view after, std::size_t limit);

Result<List> create_list(Write&, std::string_view local, std::string_view domain, list::Settings, TimePoint now);
Result<void> set_list(Write&, ListId, const list::Settings&, TimePoint now);
Result<void> remove_list(Write&, ListId, TimePoint now);  // its members too (refused above 20,000: remove members first in slices)
Result<Member> add_member(Write&, ListId, Member, TimePoint now);  // conflict: already a member
Result<Member> set_member(Write&, ListId, const Member&, TimePoint now);
Result<Member> remove_member(Write&, ListId, std::string_view address_key, TimePoint now);
/// The next post number; increases, never given twice.
Result<std::uint32_t> next_post(Write&, ListId);

/// All or nothing, in slices of at most ~20 ms: rows are written invisible, one last transaction makes them members.
struct Imported {
  std::uint64_t added = 0, already = 0;
};
Result<Imported> import_members(Store&, ListId, std::vector<Member>, TimePoint now);  // blocks; not on a network thread

}  // namespace directory
}  // namespace spoold::store
