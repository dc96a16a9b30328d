// The report on final failures of one message, as something the store can accept in the commit of the failure
// (RFC 3464; protocol/mail/dsn.hpp writes it). Only for messages that Hand's reports() names: never for list
// mail, never to the null path; a report itself has the null path, so no report is ever made on a report.
#pragma once
#include <string>
#include <vector>

#include "conf/settings.hpp"
#include "store/store.hpp"

namespace spoold::server {

struct FailedRecipient {
  std::string address;
  const Outcome* outcome;
};

store::Acceptance failure_report(store::Store& store, const conf::Settings& settings,
                                 const store::Message& message, const std::vector<FailedRecipient>& failed);

}  // namespace spoold::server
