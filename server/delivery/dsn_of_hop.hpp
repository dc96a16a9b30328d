// What a next hop that offers DSN (RFC 3461) is asked to report, and what is left for us to report to the sender.
#pragma once
#include "protocol/smtp/client_dialog.hpp"
#include "server/delivery/claims.hpp"

namespace spoold::server {

/// Completes `mail`; `offered`: the next hop offers DSN.
void request_reports(bool offered, Claims& claims, smtp::ClientDialog::Mail& mail);

/// Names in the settlement those who were delivered, wanted a report of it, and get none from the next hop.
void note_untold(store::Settlement& settlement, Claims& claims, bool lmtp);

}  // namespace spoold::server
