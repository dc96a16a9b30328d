#include "server/delivery/dsn_of_hop.hpp"

namespace spoold::server {

void request_reports(bool offered, Claims& claims, smtp::ClientDialog::Mail& mail) {
  Claims::Held& held = *claims.find(mail.plan.message);
  const store::Message& message = held.message;
  if (message.list != 0) {
    // The list is the originator (RFC 3461 5.2.7.1): small bounces, to the list, that name the member.
    mail.list_copies = offered;
    if (offered) mail.dsn = {smtp::Ret::headers, store::id_text(message.id)};
    return;
  }
  if (offered) mail.dsn = message.dsn;
  if (!message.requests) return;
  for (const std::uint32_t number : mail.plan.recipients) {
    if (offered) {
      mail.requests.push_back(claims.recipient(message.id, number)->dsn);
      held.told.insert(number);
    } else {
      held.told.erase(number);
    }
  }
}

// RFC 3461 5.2.2 (b): delivered to a host that reports nothing. LMTP delivers for good.
void note_untold(store::Settlement& settlement, Claims& claims, bool lmtp) {
  const Claims::Held* held = claims.find(settlement.message);
  if (held == nullptr || !held->message.requests) return;
  for (const Outcome& outcome : settlement.outcomes) {
    if (outcome.verdict != Verdict::delivered || held->told.contains(outcome.number)) continue;
    const store::Recipient* recipient = claims.recipient(settlement.message, outcome.number);
    if (recipient != nullptr && recipient->dsn.wants_success()) settlement.untold.push_back(outcome.number);
  }
  settlement.untold_as = lmtp ? smtp::DsnAction::delivered : smtp::DsnAction::relayed;
}

}  // namespace spoold::server
