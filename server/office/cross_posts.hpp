// Posts to several lists in one transaction, and lists that have to do with each other: who gets which copy.
//
//   lists that the sender names     a post each. A member of several gets one of each; with one_copy only the first one
//   a list that is a member         a post of its own (nested): with its own header, number and rules, for its members who get none of
//                                   the posts before it. Each list gets a post once, so a cycle ends
//   include_lists                   their members get the list's post as if they were its own, unless To or Cc names their list, or it
//                                   gets the post itself
//   exclude_lists                   their members do not get it, where To or Cc names their list
//
// Who gets what is one commit with everything else. See also: store/spool/acceptance.hpp (Readers), store/directory/nested.cpp.
#pragma once
#include <string>
#include <vector>

#include "protocol/list/settings.hpp"
#include "store/spool/acceptance.hpp"
#include "store/txn.hpp"

namespace spoold::server {

/// A post that a list has accepted.
struct Posted {
  std::size_t message = 0;  // in Acceptance::messages
  list::List list;
  bool nested = false;
  std::string been_there;  // fields: the lists through which it came, and this one
};

/// Fills in Readers of each, in the order in which they were accepted. `addressed`: list::Post::addressed(). `given_to`: lists whose
/// members have got it already (store::HeldPost).
void arrange_readers(const store::Read& read, const std::vector<Posted>& posts,
                     const std::vector<std::string>& addressed, const std::vector<list::ListId>& given_to,
                     store::Acceptance& into);

}  // namespace spoold::server
