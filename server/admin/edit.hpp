// Changing recipients of a queued message while it may be being delivered (store/README.md,
// "Facts beat wishes").
//
// A recipient that a claim covers is asked of its lane first; one that was withdrawn is changed although the
// claim covers it; one whose content is on the wire is refused by name. A claim that comes or goes in between
// is asked again, for at most 5 s. What was withdrawn is always given back to its lane at the end. Blocks:
// for a thread of its own, never a network thread.
#pragma once
#include <atomic>
#include <string>
#include <vector>

#include "server/admin/json.hpp"
#include "server/admin/lanes.hpp"
#include "store/spool/changes.hpp"
#include "store/store.hpp"

namespace spoold::server::admin {

struct Wish {
  store::Edit edit;
  std::string address;  // as people name it: in answers
  TimePoint claim{};    // of the claim that was seen to cover it: its lane must be asked; none: TimePoint{}
};

struct Refusal {
  Wish wish;
  std::string reason;
};

struct EditReport {
  struct Done {
    Wish wish;
    std::uint32_t number = 0;  // the recipient's number (the new one for add and replace)
  };
  std::vector<Done> done;
  std::vector<Refusal> refused;
};

const char* text(store::Edit::What);
Json refusal_json(const Refusal&);  // {"address", "what", "reason"}

/// all_or_nothing: when one is refused nothing is changed, and `done` is empty: one transaction for all.
/// `stopping`: once it is set, recipients whose claim does not go away are refused without further patience.
store::Result<EditReport> edit_recipients(store::Store&, Lanes&, store::Id, std::vector<Wish>,
                                          const std::string& who, bool all_or_nothing,
                                          const std::atomic<bool>& stopping);

}  // namespace spoold::server::admin
