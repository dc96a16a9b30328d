// The bounce scores of members (protocol/bounce/score.hpp), and the probes that are outstanding.
//
// A score is a row of its own, so that a member without failures costs nothing; it goes when it is empty, when the member
// departs, and when somebody enables his delivery again. Scores are changed by the operation ScoreMember (changes.hpp).
// See also: README.md (tables `member_score` and `probe`).
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/bounce/score.hpp"
#include "store/directory/directory.hpp"

namespace spoold::store::directory {

std::string pack(const bounce::Score&);
bounce::Score unpack_score(std::string_view record);

/// Nothing: no failure is remembered.
std::optional<bounce::Score> score_of(const Read&, ListId, std::string_view address_key);

struct ScoredMember {
  ListId list = 0;
  std::string address;  // key
  bounce::Score score;
};
/// Whose probe this is; nothing: there is none, or a later one took its place. It may have expired.
std::optional<ScoredMember> probed(const Read&, std::string_view token);
/// The members of a list that have a score, in domain order, behind the address key `after`, until `visit` answers false.
void visit_scores(const Read&, ListId, std::string_view after,
                  const std::function<bool(const ScoredMember&)>& visit);
/// The first member behind the key `after` whose score has something due by `now`; looks at 1,000 rows at most. `after`
/// moves on; empty: that was the last row.
std::optional<ScoredMember> next_due_score(const Read&, std::string& after, TimePoint now);

// The steps of which apply() is made.
void put_score(Write&, ListId, std::string_view place, const bounce::Score&);
void del_score(Write&, ListId, std::string_view place);

}  // namespace spoold::store::directory
