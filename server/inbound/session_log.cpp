#include "server/inbound/session_log.hpp"

#include "server/log.hpp"
#include "store/directory/changes.hpp"

namespace spoold::server {

SessionLog::~SessionLog() {
  if (!bounded_ || refused_ <= most) return;
  const std::string client = peer_.text(), more = "and " + std::to_string(refused_ - most) + " more";
  log::event(log::Level::info, "refused", {{"reply", more}, {"client", client}});
}

SessionLog::Summary::Summary(const store::Acceptance& acceptance) : size(acceptance.content.size) {
  for (const store::NewMessage& message : acceptance.messages)
    lines.push_back({message.message.list_address, message.message.reverse_path,
                     message.recipients.size() == 1 ? message.recipients.front().address : std::string()});
  for (const store::HistoryEvent& event : acceptance.events)
    if (event.event == "bounce" || event.event == "complaint" || event.event == "moderation")
      bounces.push_back(event);
  for (const std::string& packed : acceptance.operations) {
    const store::directory::Operation operation = store::directory::unpack_operation(packed);
    const auto* score = std::get_if<store::directory::ScoreMember>(&operation.change);
    if (score == nullptr) continue;
    store::HistoryEvent& event = bounces.emplace_back();
    event.address = score->address;
    event.detail = score->failure.cause.empty() ? "the probe bounced" : score->failure.cause;
    if (!score->said.empty()) event.detail += "; " + score->said;
  }
}

void SessionLog::accepted(const Summary& summary, const store::Accepted& accepted, const std::string& from,
                          std::string_view tls, std::string_view user) const {
  for (const store::HistoryEvent& event : summary.bounces)
    event.event == "moderation" ? moderation(event) : bounce(event);
  if (accepted.ids.empty() && accepted.held.empty()) return;
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
    if (accepted.ids[i] == 0) continue;  // a notice, and the limit of the day was used up
    const std::string qid = store::id_text(accepted.ids[i]);
    const auto recipients = accepted.recipients[i];
    const auto& [list, reverse_path, only] = summary.lines[i];
    if (!list.empty()) {
      const log::Field fields[] = {
          {"qid", qid},           {"list", list},     {"from", from}, {"recipients", recipients},
          {"size", summary.size}, {"client", client}, {"tls", tls},   {"user", user}};
      write(fields);
    } else if (!only.empty()) {
      const log::Field fields[] = {{"qid", qid},       {"from", from}, {"to", only},  {"size", summary.size},
                                   {"client", client}, {"tls", tls},   {"user", user}};
      write(fields);
    } else {
      const log::Field fields[] = {{"qid", qid},           {"from", from},     {"recipients", recipients},
                                   {"size", summary.size}, {"client", client}, {"tls", tls},
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

void SessionLog::moderation(const store::HistoryEvent& event) const {
  const std::string client = peer_.text(), qid = store::id_text(event.message);
  const log::Field fields[] = {
      {"from", event.address}, {"reply", event.detail}, {"client", client}, {"qid", qid}};
  log::event(log::Level::info, "moderation",
             std::span<const log::Field>(fields).first(event.message == 0 ? 3 : 4));
}

void SessionLog::bounce(const store::HistoryEvent& event) const {
  ++stats_.bounced;
  const std::string client = peer_.text();
  log::event(log::Level::info, event.event == "complaint" ? "complaint" : "bounce",
             {{"to", event.address}, {"reply", event.detail}, {"client", client}});
}

}  // namespace spoold::server
