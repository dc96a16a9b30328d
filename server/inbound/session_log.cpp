#include "server/inbound/session_log.hpp"

#include "server/log.hpp"
#include "store/directory/changes.hpp"

namespace spoold::server {

SessionLog::~SessionLog() {
  if (!bounded_ || refused_ <= most) return;
  const std::string client = peer_.text(), more = "and " + std::to_string(refused_ - most) + " more";
  log::event(log::Level::info, "refused", {{"reply", more}, {"client", client}});
}

void SessionLog::accepted(const store::Accepted& accepted, const std::string& from, std::string_view tls,
                          std::string_view user) const {
  const store::Acceptance& acceptance = *accepted.acceptance;
  bounces(acceptance);
  if (accepted.ids.empty()) return;
  ++stats_.accepted;
  for (const std::uint32_t recipients : accepted.recipients) stats_.recipients += recipients;
  if (!log::enabled(log::Level::info)) return;
  const std::string client = peer_.text();
  // The last fields are `tls` and `user`: only where there are some, and a user is under TLS.
  const auto write = [&](std::span<const log::Field> fields) {
    const std::size_t without = tls.empty() ? 2 : user.empty() ? 1 : 0;
    log::event(log::Level::info, "accepted", fields.first(fields.size() - without));
  };
  for (std::size_t i = 0; i < accepted.ids.size(); ++i) {
    const std::string qid = store::id_text(accepted.ids[i]);
    const auto recipients = accepted.recipients[i];
    const store::NewMessage& message = acceptance.messages[i];
    const std::string& list = message.message.list_address;
    if (!list.empty()) {
      const log::Field fields[] = {
          {"qid", qid},           {"list", list},     {"from", from}, {"recipients", recipients},
          {"size", acceptance.content.size}, {"client", client}, {"tls", tls},   {"user", user}};
      write(fields);
    } else if (message.recipients.size() == 1) {
      const std::string& only = message.recipients.front().address;
      const log::Field fields[] = {{"qid", qid},       {"from", from}, {"to", only},  {"size", acceptance.content.size},
                                   {"client", client}, {"tls", tls},   {"user", user}};
      write(fields);
    } else {
      const log::Field fields[] = {{"qid", qid},           {"from", from},     {"recipients", recipients},
                                   {"size", acceptance.content.size}, {"client", client}, {"tls", tls},
                                   {"user", user}};
      write(fields);
    }
  }
}

void SessionLog::refused(const std::string& from, std::string_view to, const smtp::Reply& reply) {
  ++stats_.refused;
  if (++refused_ > most && bounded_) return;
  if (!log::enabled(log::Level::info)) return;
  const std::string client = peer_.text(), words = reply.oneline();
  log::event(log::Level::info, "refused", {{"from", from}, {"to", to}, {"reply", words}, {"client", client}});
}

void SessionLog::no_tls(const std::string& why) {
  ++stats_.refused;
  const std::string client = peer_.text();
  log::event(log::Level::info, "refused", {{"stage", "STARTTLS"}, {"reply", why}, {"client", client}});
}

void SessionLog::login_failed(const std::string& user, const smtp::Reply& reply) {
  ++stats_.failed_logins;
  const std::string words = reply.oneline();
  log::event(log::Level::info, "refused",
             {{"stage", "AUTH"}, {"client", peer_.host}, {"user", user}, {"reply", words}});
}

void SessionLog::bounces(const store::Acceptance& acceptance) const {
  for (const store::HistoryEvent& event : acceptance.events)
    if (event.event == "bounce" || event.event == "complaint") bounce(event);
  for (const std::string& packed : acceptance.operations) {
    const store::directory::Operation operation = store::directory::unpack_operation(packed);
    const auto* score = std::get_if<store::directory::ScoreMember>(&operation.change);
    if (score == nullptr) continue;
    store::HistoryEvent event;
    event.address = score->address;
    event.detail = score->failure.cause.empty() ? "the probe bounced" : score->failure.cause;
    if (!score->said.empty()) event.detail += "; " + score->said;
    bounce(event);
  }
}

void SessionLog::bounce(const store::HistoryEvent& event) const {
  ++stats_.bounced;
  const std::string client = peer_.text();
  log::event(log::Level::info, event.event == "complaint" ? "complaint" : "bounce",
             {{"to", event.address}, {"reply", event.detail}, {"client", client}});
}

}  // namespace spoold::server
