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
                          std::string_view user, std::string_view auth) const {
  const store::Acceptance& acceptance = *accepted.acceptance;
  bounces(acceptance);
  if (accepted.ids.empty() && accepted.held.empty()) return;
  ++stats_.accepted;
  for (const std::uint32_t recipients : accepted.recipients) stats_.recipients += recipients;
  if (!log::enabled(log::Level::info)) return;
  const std::string client = peer_.text();
  for (std::size_t i = 0; i < accepted.ids.size(); ++i) {
    if (accepted.ids[i] == 0) continue;  // a notice, and the limit of the day was used up
    const std::string qid = store::id_text(accepted.ids[i]);
    const store::NewMessage& message = acceptance.messages[i];
    const std::string& list = message.message.list_address;
    std::vector<log::Field> fields;
    fields.reserve(9);
    fields.emplace_back("qid", qid);
    if (!list.empty()) fields.emplace_back("list", list);
    fields.emplace_back("from", from);
    if (list.empty() && message.recipients.size() == 1)
      fields.emplace_back("to", message.recipients.front().address);
    else
      fields.emplace_back("recipients", accepted.recipients[i]);
    fields.emplace_back("size", acceptance.content.size);
    fields.emplace_back("client", client);
    if (!tls.empty()) fields.emplace_back("tls", tls);
    if (!user.empty()) fields.emplace_back("user", user);
    if (!auth.empty()) fields.emplace_back("auth", auth);
    log::event(log::Level::info, "accepted", std::span<const log::Field>(fields));
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
  for (const store::HistoryEvent& event : acceptance.events) {
    if (event.event == "bounce" || event.event == "complaint") bounce(event);
    if (event.event == "moderation") moderation(event);
  }
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
