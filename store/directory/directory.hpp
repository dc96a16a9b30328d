// Lists and members: what is read of them, in a short Read. They are changed by operations (changes.hpp), which
// Store::change submits. Knows nothing of the spool.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/list/settings.hpp"
#include "store/error.hpp"

namespace spoold::store {

class Read;
class Write;

namespace directory {

using list::List;
using list::ListId;
using list::Member;
using list::MemberId;

std::optional<List> find_list(const Read&, std::string_view local, std::string_view domain);  // lower case
std::optional<List> list(const Read&, ListId);
/// The rules of a list (list::RuleTexts), which the functions here leave empty: they may be long.
void load_rules(const Read&, List&);
std::optional<std::uint64_t> roster_version(const Read&, ListId);  // nothing: there is no such list
std::vector<List> lists(const Read&, ListId after, std::size_t limit);
std::vector<List> lists_of_domain(const Read&, std::string_view domain);
/// The first `limit` of them by name, without reading the lists.
std::vector<ListId> list_ids_of_domain(const Read&, std::string_view domain, std::size_t limit);
bool is_list_domain(const Read&, std::string_view domain);

std::optional<Member> find_member(const Read&, ListId, std::string_view address_key);
struct Located {
  ListId list;
  Member member;          // departed: only id and address (as a key)
  bool departed = false;  // no member any more, but the id still tells whose it was
};
std::optional<Located> member_by_id(const Read&, MemberId);
/// Members in domain order: (domain, local part) > after; `after` empty: from the start. Returns the key to
/// go on with.
struct Page {
  std::vector<Member> members;
  std::string after;  // empty: no more
};
Page members(const Read&, ListId, std::string_view after, std::size_t limit);
/// The same without copies, for the expansion: calls `visit` for each member behind `after` until it answers
/// false. The views live until it returns. Answers the key to go on with (of the last one visited); empty: no
/// more.
struct MemberView {
  MemberId id = 0;
  std::string_view address;  // Mailbox text
  std::string_view key;      // Mailbox key: the same in lower case
  std::string_view domain;
  list::Delivery delivery = list::Delivery::regular;
  bool one_copy = false;
  std::optional<bool> avoid_duplicates = {};
  TimePoint away_from{}, away_until{};
  list::PersonId person = 0;
};
std::string visit_members(const Read&, ListId, std::string_view after,
                          const std::function<bool(const MemberView&)>& visit);
/// The lists of this server that are regular members of a list. As many steps as there are list names between two members at
/// list domains, or members between two such names, whichever is less.
std::vector<ListId> lists_among_members(const Read&, ListId);
/// Whether the posts of a list reach another one, by lists that are regular members.
bool leads_to(const Read&, ListId from, ListId to);
/// The list by which an address gets the posts of a list: this one, or the first of its include_lists that has the member.
std::optional<ListId> list_of_reader(const Read&, const List&, std::string_view address_key);
/// The ids of lists by their addresses; of what is no list nothing.
std::vector<ListId> list_ids(const Read&, const std::vector<std::string>& addresses);
/// The lists that an address belongs to.
std::vector<ListId> lists_of_member(const Read&, std::string_view address_key);

/// What an import did (store/blocking.hpp).
struct Imported {
  std::uint64_t added = 0, already = 0;
};

/// Rows that nobody can see any more: of imports that were cut off and of removed lists. recover() once,
/// before any import can run: every import that is still written down was cut off. sweep() deletes at most
/// `at_once` rows and says whether there is more: the store does that in slices after a commit that left some.
void recover(Write&);
bool has_leftovers(const Read&);
bool sweep(Write&, std::size_t at_once = 2000);

/// Settings of lists that this version does not know or cannot read, one sentence each: it uses the default instead.
std::vector<std::string> unread_settings(const Read&);

/// Broken invariants of the directory, one sentence each: counts, the two indexes, ids given twice.
std::vector<std::string> check(const Read&);

}  // namespace directory
}  // namespace spoold::store
