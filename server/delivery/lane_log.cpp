// The log lines of a lane, with the names and keys of the contract.
#include "server/delivery/lane.hpp"
#include "server/log.hpp"

namespace spoold::server {

void Lane::log_outcome(const store::Message& message, const store::Recipient& recipient,
                       const Outcome& outcome) const {
  const bool delivered = outcome.verdict == Verdict::delivered;
  const log::Level level = outcome.verdict == Verdict::delivered || outcome.verdict == Verdict::deferred
                               ? log::Level::info
                               : log::Level::warning;
  if (!log::enabled(level)) return;
  const LastReply& last = outcome.last;
  const std::string qid = store::id_text(message.id), reply = last.reply.oneline(),
                    dsn = last.reply.enhanced.text();
  const auto delay = now() - message.arrived;
  const std::uint32_t attempts = recipient.attempts + (outcome.charged ? 1 : 0);
  const char* name = delivered                              ? "delivered"
                     : outcome.verdict == Verdict::deferred ? "deferred"
                     : outcome.verdict == Verdict::failed   ? "failed"
                                                            : "expired";
  if (delivered)
    return log::event(level, name,
                      {{"qid", qid},
                       {"to", recipient.address},
                       {"relay", last.remote},
                       {"reply", reply},
                       {"dsn", dsn},
                       {"attempts", attempts},
                       {"delay", delay.count()},
                       {"tls", last.tls}});
  const std::string next = outcome.verdict == Verdict::deferred ? rfc3339(outcome.next_attempt) : "";
  log::event(level, name,
             {{"qid", qid},
              {"to", recipient.address},
              {"relay", last.remote},
              {"stage", label(last.stage)},
              {"reply", reply},
              {"dsn", dsn},
              {"attempts", attempts},
              {"delay", delay.count()},
              {"next", next}});
}

// An operator should see that the Internet's mail goes in the clear where it need not.
void Lane::log_plain_text(const OutboundSession& session) const {
  if (session.tls_failure().empty()) return;
  log::event(
      log::Level::warning, "plaintext",
      {{"relay", session.remote()}, {"stage", label(Stage::starttls)}, {"reply", session.tls_failure()}});
}

void Lane::log_suspect(const delivery::SuspectChange& change) const {
  if (!change.now)
    return log::event(log::Level::info, "released", {{"to", change.address}, {"relay", route_}});
  log::event(log::Level::warning, "suspect",
             {{"to", change.address},
              {"relay", route_},
              {"stage", label(change.now->stage)},
              {"reply", change.now->how},
              {"strikes", change.now->strikes},
              {"next", rfc3339(change.now->next)}});
}

// Each by name, and its row of the store will say so too: the peer may have it, or may get it yet.
void Lane::name_in_doubt(const OutboundSession& session) {
  for (const delivery::InDoubt& copy : planner_.take_in_doubt()) {
    const store::Recipient* recipient = hand_.doubt(copy.message, copy.number);
    if (recipient == nullptr) continue;
    const std::string qid = store::id_text(copy.message);
    log::event(log::Level::warning, "indoubt",
               {{"qid", qid}, {"to", recipient->address}, {"relay", session.remote()}});
  }
}

}  // namespace spoold::server
