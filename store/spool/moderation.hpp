// Posts held for moderation: their rows, and what ends their wait. A held post refers to its content as a message does; it is
// in no other table of messages, so that no lane, report or filter meets it. Accepted, it becomes a message of its own, with
// its own id, in the commit that ends the wait (spool/accept.hpp): so it goes out once, whoever says so how often, and
// whenever the process dies.
//
//   held       list id, number   -> the post. Number 0: the last number given; of list 0: octets of all held posts
//   held_id    id                -> list id, number; when it was decided: what, who, when, message, reason
//   told       key               -> day, how many (TellingLimit)
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "store/error.hpp"
#include "store/spool/held_post.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

/// `post` gets its number. Its content's row counts it already.
void put_held(Write&, HeldPost& post);
/// not_found: there is no such post, or it was decided long ago; conflict: it was decided, by whom and when.
Result<void> decide(Write&, Decision decision);

std::optional<HeldPost> held_post(const Read&, Id);
std::optional<HeldPost> held_post(const Read&, list::ListId, std::uint32_t number);
/// Of a post that waits, or was decided not long ago.
std::optional<list::ListId> list_of_held(const Read&, Id);
/// Nothing: it waits, or is unknown.
std::optional<Decision> decision(const Read&, Id);
/// "accepted by anna@a.example at 2026-11-22T10:31:07Z"
std::string said(const Decision&);

/// Up to `limit` of them behind `after`, by list and number; list 0: of all lists.
struct HeldPlace {
  list::ListId list = 0;
  std::uint32_t number = 0;
};
std::vector<HeldPost> held_posts(const Read&, list::ListId list, HeldPlace after, std::size_t limit);
std::uint64_t count_held(const Read&, list::ListId list);
/// Of the contents of all posts that wait, each counted as often as it is held.
std::uint64_t held_octets(const Read&);
/// The same, by reading each post: what held_octets() should answer.
std::uint64_t sum_of_held_octets(const Read&);
void put_held_octets(Write&, std::uint64_t);
/// Each content that a held post refers to.
void each_held_content(const Read&, const std::function<void(Id post, Id content)>&);

bool may_tell(const Read&, const TellingLimit&, TimePoint now);
void count_told(Write&, const TellingLimit&);

/// Decisions older than `cutoff`, and counts of days before today. `place` goes on where the last slice stopped.
struct SweptModeration {
  Id decided = 0;
  std::string told;
};
bool sweep_moderation(Write&, TimePoint cutoff, SweptModeration& place, const Enough&);

}  // namespace spoold::store::spool
