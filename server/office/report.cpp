#include "server/office/report.hpp"

#include <algorithm>

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

  auto bytes = std::make_shared<const std::string>(smtp::write(report));
  store::NewMessage mail;
  mail.message.arrived = report.now;
  mail.message.size = bytes->size();
  mail.message.eight_bit =
      std::any_of(bytes->begin(), bytes->end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  mail.message.leading_dots = bytes->find("\n.") != std::string::npos;
  mail.message.from = "MAILER-DAEMON@" + settings.hostname;
  mail.message.subject = smtp::subject_of(report);
  mail.message.report = !to_postmaster;
  mail.body.push_back({0, bytes->size(), {}});
  for (std::string& address : to) mail.recipients.push_back({std::move(address)});
  acceptance.content.size = bytes->size();
  acceptance.content.bytes = std::move(bytes);
  acceptance.messages.push_back(std::move(mail));
  return acceptance;
}

}  // namespace spoold::server
