// What the fuzzer and the replay of its corpus run: any octets as what peers said of a message's recipients,
// and as what its sender asked and wrote. The report on it has the parts it should have and no other, one set
// of fields for each recipient, and lines that may travel.
#pragma once
#include <string>
#include <string_view>

#include "protocol/mail/header.hpp"
#include "protocol/mail/mailbox.hpp"
#include "protocol/smtp/dsn.hpp"
#include "tests/fuzz/input.hpp"

namespace spoold::tests {

/// First octet: how many recipients, whole or not. Then pieces, each ended by a NUL, as far as there are any.
inline void fuzz_dsn(std::string_view data) {
  Input in{data};
  const auto octet = [&in] { return in.octet(); };
  const auto piece = [&in] {
    std::string taken = in.take(in.data.find('\0'));
    in.octet();  // the NUL
    return taken;
  };
  const auto address = [&] {
    const auto mailbox = Mailbox::parse(piece(), Mailbox::Allow::utf8);
    return mailbox ? mailbox->text() : std::string("anne@example.net");
  };
  const unsigned choice = octet();
  smtp::Dsn report;
  report.reporting_mta = "mx.example.org";
  report.queue_id = "6H05R3BNW0001";
  report.to = address();
  report.received_from = piece();
  smtp::DsnOfMessage asked;
  (void)smtp::take_envid(asked, piece());
  report.envid = asked.envid;
  for (const char c : piece()) {  // as reception lets it in: lines that end in CRLF
    if (c == '\n') report.original += '\r';
    if (c != '\r') report.original += c;
  }
  report.whole = (choice & 1) != 0;
  report.of_report = (choice & 2) != 0;
  report.retry_until = TimePoint(Duration((choice & 4) != 0 ? 1 : 0));
  for (unsigned n = choice / 8 % 8 + 1; n > 0; --n) {
    smtp::Dsn::Recipient& r = report.recipients.emplace_back();
    r.address = address();
    smtp::DsnOfRecipient of_recipient;
    (void)smtp::take_orcpt(of_recipient, piece());
    r.orcpt = of_recipient.orcpt;
    r.action = static_cast<smtp::DsnAction>(1 + octet() % 5);
    r.last.stage = static_cast<Stage>(octet() % 13);
    r.last.reply.code = static_cast<int>(octet() * 3);
    r.last.reply.enhanced = {static_cast<std::uint8_t>(octet() % 6), static_cast<std::uint16_t>(octet()), 1};
    r.last.reply.text = piece();
    r.last.remote = piece();
    r.expired = (octet() & 1) != 0;
  }

  const std::string out = smtp::write(report);
  const auto header = mail::Header::scan(out);
  must(header && header->complete());
  for (const char* name : {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type"})
    must(header->count(name) == 1);
  const std::string_view type = header->find("Content-Type")->raw;
  const std::size_t quote = type.find('"');
  const std::string boundary = "--" + std::string(type.substr(quote + 1, type.rfind('"') - quote - 1));
  std::size_t parts = 0, recipients = 0, actions = 0, states = 0;
  for (std::string_view rest = std::string_view(out).substr(header->end()); !rest.empty();) {
    const std::size_t end = rest.find("\r\n");
    must(end != rest.npos);
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    if (line.starts_with(boundary)) must(line == boundary + (++parts == 4 ? "--" : ""));
    if (parts == 3 && report.whole) continue;  // the sender's own words
    must(line.size() <= 998 && line.find('\r') == line.npos && line.find('\n') == line.npos);
    if (parts != 2) continue;
    recipients += line.starts_with("Final-Recipient: ");
    actions += line.starts_with("Action: ");
    states += line.starts_with("Status: ");
  }
  must(parts == 4);
  must(recipients == report.recipients.size() && actions == recipients && states == recipients);
}

}  // namespace spoold::tests
