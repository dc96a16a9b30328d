#include "server/office/report.hpp"

#include <utility>

#include "protocol/auth/dkim2_make.hpp"
#include "protocol/mail/ascii.hpp"
#include "server/office/bounces.hpp"
#include "server/office/brake.hpp"
#include "server/office/drafts.hpp"
#include "server/office/moderation.hpp"
#include "server/office/requests.hpp"
#include "server/office/signing.hpp"

namespace spoold::server {
namespace {

// Of the Received field that we put in front (acceptance.cpp).
std::string received_from(std::string_view original) {
  constexpr std::string_view ours = "Received: from ";
  if (!original.starts_with(ours)) return {};
  original.remove_prefix(ours.size());
  const std::string_view name = original.substr(0, original.find(' '));
  return name == "unknown" ? std::string() : std::string(name);
}

}  // namespace

store::NewMessage report_message(const conf::Settings& settings, const smtp::Dsn& report,
                                 std::vector<std::string> to) {
  store::NewMessage made;
  made.message.arrived = report.now;
  made.message.from = "MAILER-DAEMON@" + settings.hostname;
  made.message.subject = smtp::subject_of(report);
  made.message.report = true;
  mail::Outgoing text;
  text.head = smtp::write(report);
  text.size = text.head.size();
  text.octets = mail::octets_of(text.head);
  put(std::move(text), made);
  made.message.utf8 = !mail::is_ascii(report.to);  // its To; the rest of its header is ASCII
  for (std::string& address : to) made.recipients.push_back({std::move(address)});
  return made;
}

void sign_report(const conf::Settings& settings, std::string_view original, store::NewMessage& made) {
  const auto header = mail::Header::scan(original);
  const bool dkim2 = header && made.recipients.size() == 1 && auth::dkim2_came(*header).any;
  place_signatures(settings, settings.hostname, made, {},
                   dkim2 ? auth::instance_field(1, {}) : std::string());
}

store::Acceptance Reports::acceptance(const store::Read& read, const store::Message& about,
                                      smtp::Dsn report) const {
  const auto book = book_.get();
  const conf::Settings& settings = book->settings();
  report.reporting_mta = settings.hostname;
  report.received_from = received_from(report.original);
  report.retry_until = report.arrived + settings.delivery.lifetime;
  report.of_report = about.report;
  std::vector<std::string> to;
  if (!report.to.empty()) to = book->reported_to(read, report.to, report.now);
  const bool to_postmaster = to.empty();
  if (to_postmaster) {
    if (report.to.empty()) report.to = "postmaster@" + settings.hostname;
    to = book->postmasters(read, report.now);
  }
  store::Acceptance acceptance;
  if (to.empty()) return acceptance;

  store::NewMessage mail = report_message(settings, report, std::move(to));
  mail.message.report = !to_postmaster;
  mail.message.require_tls = about.require_tls;  // RFC 8689 5
  // It may return all of a message: a content of its own is kept in chunks.
  auto bytes = std::make_shared<const std::string>(std::exchange(mail.head, std::string()));
  mail.body.push_back({0, bytes->size(), {}});
  sign_report(settings, report.original, mail);
  acceptance.content.size = bytes->size();
  acceptance.content.bytes = std::move(bytes);
  acceptance.messages.push_back(std::move(mail));
  return acceptance;
}

std::vector<store::directory::Operation> Reports::failed(const store::Read& read,
                                                         const store::spool::Failures& failures) const {
  return scores_of(book_.get()->settings(), read, failures);
}

std::optional<store::Acceptance> Reports::brake(const store::Read& read,
                                                const store::spool::Failures& failures) const {
  return brake_of(*book_.get(), read, failures);
}

std::vector<store::Acceptance> Reports::held(store::Store& store, TimePoint now, std::size_t most) const {
  const auto book = book_.get();
  std::vector<store::Acceptance> due = expired(book->settings(), store, now, most);
  for (store::Acceptance& one : summaries(*book, store, now)) due.push_back(std::move(one));
  return due;
}

store::Acceptance Reports::notices(const store::Read& read, const store::directory::Applied& applied,
                                   std::string_view evidence) const {
  if (applied.asked) return letters(*book_.get(), read, applied);
  return server::notices(*book_.get(), read, applied, evidence);
}

}  // namespace spoold::server
