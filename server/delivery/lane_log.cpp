#include "server/delivery/lane_log.hpp"

#include "server/log.hpp"

namespace spoold::server {

void log_outcome(const store::Message& message, const store::Recipient& recipient, const Outcome& outcome,
                 TimePoint now) {
  const bool delivered = outcome.verdict == Verdict::delivered;
  const log::Level level = outcome.verdict == Verdict::delivered || outcome.verdict == Verdict::deferred
                               ? log::Level::info
                               : log::Level::warning;
  if (!log::enabled(level)) return;
  const LastReply& last = outcome.last;
  const std::string qid = store::id_text(message.id), reply = last.reply.oneline(),
                    dsn = last.reply.enhanced.text();
  const auto delay = now - message.arrived;
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

void log_plain_text(const OutboundSession& session) {
  if (session.tls_failure().empty()) return;
  log::event(
      log::Level::warning, "plaintext",
      {{"relay", session.remote()}, {"stage", label(Stage::starttls)}, {"reply", session.tls_failure()}});
}

void log_suspect(const delivery::SuspectChange& change, const std::string& route) {
  if (!change.now)
    return log::event(log::Level::info, "released", {{"to", change.address}, {"relay", route}});
  log::event(log::Level::warning, "suspect",
             {{"to", change.address},
              {"relay", route},
              {"stage", label(change.now->stage)},
              {"reply", change.now->how},
              {"strikes", change.now->strikes},
              {"next", rfc3339(change.now->next)}});
}

void log_alarm(const delivery::HeldLane& held, const std::string& route) {
  log::event(log::Level::error, "alarm",
             {{"to", route},
              {"relay", held.last.remote},
              {"stage", label(held.last.stage)},
              {"reply", held.last.reply.oneline()},
              {"rule", held.rule},
              {"next", rfc3339(held.until)}});
}

void log_in_doubt(store::Id message, const store::Recipient& recipient, const std::string& remote) {
  log::event(log::Level::warning, "indoubt",
             {{"qid", store::id_text(message)}, {"to", recipient.address}, {"relay", remote}});
}

}  // namespace spoold::server
