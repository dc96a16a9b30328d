// What a next hop that offers DSN (RFC 3461) is asked to report, and what is left for us to tell the sender.
#include <algorithm>

#include "server/delivery/lane.hpp"

namespace spoold::server {

void Lane::request_reports(OutboundSession& session, Hand::Held& held, smtp::ClientDialog::Mail& mail) {
  const store::Message& message = held.message;
  const bool offered = session.offered().dsn;
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
      mail.requests.push_back(hand_.recipient(message.id, number)->dsn);
      held.told.insert(number);
    } else {
      held.told.erase(number);
    }
  }
}

// RFC 3461 5.2.2 (b): delivered to a host that reports nothing. LMTP delivers for good.
void Lane::note_untold(store::Settlement& settlement) {
  const Hand::Held* held = hand_.find(settlement.message);
  if (held == nullptr || !held->message.requests) return;
  for (const Outcome& outcome : settlement.outcomes) {
    if (outcome.verdict != Verdict::delivered || held->told.contains(outcome.number)) continue;
    const store::Recipient* recipient = hand_.recipient(settlement.message, outcome.number);
    if (recipient != nullptr && recipient->dsn.wants_success()) settlement.untold.push_back(outcome.number);
  }
  settlement.untold_as = way_.lmtp() ? smtp::DsnAction::delivered : smtp::DsnAction::relayed;
}

}  // namespace spoold::server
