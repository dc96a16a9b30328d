// Invariants of the directory, as `spoolctl check` asks for them: in pieces, each in a short Read of its own. What is
// said of one list or of one member is true of one state of the store.
#pragma once
#include <string>
#include <vector>

#include "store/directory/directory.hpp"
#include "store/txn.hpp"

namespace spoold::store::directory {

class Check {
 public:
  /// Looks at the next piece: one list with all its members counted, or 10,000 members; false: that was the last.
  bool step(const Read&);
  std::vector<std::string> problems;  // one sentence each
  std::vector<ListId> miscounted;     // whose number of members is wrong: repair_list()

 private:
  bool list(const Read&);
  bool members(const Read&);
  ListId after_ = 0;
  bool lists_done_ = false;
  std::string after_member_;
};

/// Counts the members of a list anew. What was changed, in words; empty: it added up, or the list is gone.
std::string repair_list(Write&, ListId);

}  // namespace spoold::store::directory
