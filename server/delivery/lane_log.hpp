// The log lines of a lane, with the names and keys of the contract (README.md, the log).
#pragma once
#include <string>

#include "protocol/delivery/planner.hpp"
#include "server/delivery/session.hpp"
#include "store/spool/types.hpp"

namespace spoold::server {

void log_outcome(const store::Message& message, const store::Recipient& recipient, const Outcome& outcome,
                 TimePoint now);
/// An operator should see that the Internet's mail goes in the clear where it need not.
void log_plain_text(const OutboundSession& session);
/// A reply is about us: an operator must act.
void log_alarm(const delivery::HeldLane& held, const std::string& route);
void log_suspect(const delivery::SuspectChange& change, const std::string& route);
/// A copy that the peer may have, or may get yet.
void log_in_doubt(store::Id message, const store::Recipient& recipient, const std::string& remote);

}  // namespace spoold::server
