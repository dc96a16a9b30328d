// Who gets a list's posts, as an acceptance asks for it (accept.hpp). The spool knows no list: the store hands it the
// directory's answer (store/roster.hpp). Reads are local and in the accepting transaction, so a post's expansion is
// one state of the roster for each of its slices.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/ids.hpp"
#include "store/spool/acceptance.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

class Roster {
 public:
  virtual ~Roster() = default;
  struct Page {
    std::string addresses;                                       // one behind the other, in domain order
    std::vector<std::pair<std::uint64_t, std::size_t>> members;  // id, where the address ends
    std::string after;     // where to go on; empty: that was the last page
    bool digests = false;  // members who get digests were passed
  };
  /// The next readers behind `after` (empty: from the start). Looks at a bounded number of members, so a page may be short, or
  /// empty. A copy: it outlives the next put.
  virtual Page page(const Read&, list::ListId, const Readers&, std::string_view after) const = 0;
  /// Nothing: there is no such list any more.
  virtual std::optional<std::uint64_t> version(const Read&, list::ListId) const = 0;
};

}  // namespace spoold::store::spool
