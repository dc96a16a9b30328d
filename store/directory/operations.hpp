// The steps of which apply() is made: one list or one member each. Only apply.cpp and tests call them; what they write is
// in no row of `change`. They check what they are given. A follower hands them the ids and times that the first store
// gave.
#pragma once
#include "store/directory/changes.hpp"
#include "store/txn.hpp"

namespace spoold::store::directory {

/// `id` 0: the next one. `unread`: settings to keep as texts (rows.hpp).
Result<List> create_list(Write&, std::string_view local, std::string_view domain, list::Settings,
                         TimePoint now, ListId id = 0, const Texts& unread = {});
/// Sets keys from their texts, which list::set() has looked at. `keep_unread`: a text that this version cannot read is kept as it is; else it is invalid.
Result<List> set_list(Write&, ListId, const Texts& settings, bool keep_unread = false);
/// The list is gone at once, whatever its size. Its members' rows go in slices: sweep(). Answers the list as it was.
Result<List> remove_list(Write&, ListId, ImportId leftover = 0);
Result<Member> add_member(Write&, ListId, const Member&, TimePoint now);  // conflict: already a member
Result<Member> set_member(Write&, ListId, const Member&, TimePoint now);
Result<Member> remove_member(Write&, ListId, std::string_view address_key, TimePoint now);

// person_changes.cpp: persons with several addresses. They fill in what the first store decides, and `applied`.
Result<void> change_person(Write&, AddAddress&, TimePoint at, bool following, Applied&);
Result<void> change_person(Write&, const RemoveAddress&, Applied&);
Result<void> change_person(Write&, const SetPerson&, TimePoint at, Applied&);

// requests.cpp: what is asked by mail. They fill in what the first store decides, and `applied`.
Result<void> ask(Write&, Ask&, TimePoint at, bool following, Applied&);
Result<void> redeem(Write&, Redeem&, TimePoint at, bool following, Applied&);
void forget_asked(Write&, const ForgetAsked&);

}  // namespace spoold::store::directory
