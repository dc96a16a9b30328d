// The log lines of a lane, with the names and keys of the contract.
#include "protocol/delivery/blame.hpp"
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

// By name: what the peer may have delivered without a word.
void Lane::log_in_doubt(const OutboundSession& session, const delivery::Drop& drop,
                        const std::vector<delivery::Observation>& open) {
  const bool lmtp = way_.lmtp();
  for (const std::size_t i : delivery::in_doubt(open, drop, lmtp)) {
    const delivery::Observation& seen = open[i];
    const std::string qid = store::id_text(seen.message);
    const store::Recipient* only =
        seen.recipients.size() == 1 ? hand_.recipient(seen.message, seen.recipients.front()) : nullptr;
    if (only != nullptr)
      log::event(log::Level::warning, "indoubt",
                 {{"qid", qid}, {"to", only->address}, {"relay", session.remote()}, {"recipients", 1}});
    else
      log::event(log::Level::warning, "indoubt",
                 {{"qid", qid}, {"relay", session.remote()}, {"recipients", seen.recipients.size()}});
  }
}

}  // namespace spoold::server
