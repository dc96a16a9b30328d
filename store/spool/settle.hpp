// Outcomes become facts: "facts beat wishes".
#pragma once
#include <string>
#include <vector>

#include "store/spool/changes.hpp"
#include "store/spool/rows.hpp"

namespace spoold::store::spool {

/// Final failures of list mail, for whoever counts them against members.
struct Failures {
  struct One {
    std::string address;
    list::MemberId member = 0;
    Outcome outcome;
  };
  Message message;
  std::vector<One> all;
};

/// Applies the outcomes of one claim, in full or in part. A success is kept whatever happened to the
/// recipient meanwhile; any other outcome of a recipient that was edited goes to history only.
/// `report_wait`: report.hpp. `failures` gets those that this settle made facts.
Settled settle(Write&, const Settlement&, Duration report_wait, Failures* failures = nullptr);

}  // namespace spoold::store::spool
