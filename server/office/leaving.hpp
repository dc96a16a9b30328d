// Mail to the address that ends a membership (protocol/list/leave_token.hpp).
#pragma once
#include "protocol/smtp/transaction.hpp"
#include "server/office/arrival.hpp"
#include "store/spool/acceptance.hpp"

namespace spoold::server {

/// The member leaves with the commit of the acceptance, and the goodbye letter to him is part of it (letters.cpp). The letter and the audit
/// event name who wrote. Who has left before: an event that says so.
/// Any number of such mails do the same as one. Nothing of the mail is kept.
void leave(const smtp::to::Leave& to, const Arrival& arrival, store::Acceptance& acceptance);

}  // namespace spoold::server
