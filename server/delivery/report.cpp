#include "server/delivery/report.hpp"

#include <algorithm>

#include "protocol/mail/dsn.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

constexpr std::size_t most_of_header = 65536;

}  // namespace

store::Acceptance failure_report(store::Store& store, const conf::Settings& settings,
                                 const store::Message& message, const std::vector<FailedRecipient>& failed) {
  mail::FailureReport report;
  report.reporting_mta = settings.hostname;
  report.to = message.reverse_path;
  report.queue_id = store::id_text(message.id);
  report.arrived = message.arrived;
  report.now = store.now();
  {
    const store::Read read(store);
    report.original_header = store::spool::outgoing(read, message, 0, most_of_header);
  }
  for (const FailedRecipient& recipient : failed) {
    const LastReply& last = recipient.outcome->last;
    report.failed.push_back({recipient.address, last, recipient.outcome->verdict == Verdict::expired});
  }
  auto bytes = std::make_shared<const std::string>(mail::write(report));

  store::NewMessage mail;
  mail.message.arrived = report.now;
  mail.message.size = bytes->size();
  mail.message.eight_bit =
      std::any_of(bytes->begin(), bytes->end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  mail.message.leading_dots = bytes->find("\n.") != std::string::npos;
  mail.message.from = "MAILER-DAEMON@" + settings.hostname;
  mail.message.subject = mail::subject_of_reports;
  mail.body.push_back({0, bytes->size(), {}});
  mail.recipients.push_back({message.reverse_path});

  store::Acceptance acceptance;
  acceptance.content.size = bytes->size();
  acceptance.content.bytes = std::move(bytes);
  acceptance.messages.push_back(std::move(mail));
  return acceptance;
}

}  // namespace spoold::server
