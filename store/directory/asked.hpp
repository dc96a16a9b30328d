// What people have asked of lists by mail (protocol/list/wish.hpp), as long as a letter about it must not be written again, and the
// tokens that are outstanding.
//
// A row stands for one wish of one address at one list. It goes when its token came back, and when its time is over. Changed by
// the operations Ask, Redeem and ForgetAsked (changes.hpp) alone. See also: README.md (tables `asked` and `asked_token`).
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/list/wish.hpp"
#include "store/directory/directory.hpp"

namespace spoold::store::directory {

struct AskedRow {
  ListId list = 0;
  std::string address;  // key
  list::Asked asked;
};

std::optional<list::Asked> asked_of(const Read&, ListId, std::string_view address_key, list::What);
/// What this token stands for; nothing: there is none. It may have expired.
std::optional<AskedRow> asked_by_token(const Read&, std::string_view token);
/// How many wishes of this address are remembered, at all lists.
std::size_t asked_count(const Read&, std::string_view address_key, std::size_t most);
/// Behind the key `after`, which moves on, until `visit` answers false; looks at `most` rows. False: that was the last row.
bool visit_asked(const Read&, std::string& after, std::size_t most,
                 const std::function<bool(const AskedRow&)>& visit);

// The steps of which apply() is made.
void put_asked(Write&, ListId, std::string_view address_key, const list::Asked&);
void del_asked(Write&, ListId, std::string_view address_key, list::What);

}  // namespace spoold::store::directory
