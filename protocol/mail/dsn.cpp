#include "protocol/mail/dsn.hpp"

#include <algorithm>
#include <string_view>

namespace spoold::mail {
namespace {

constexpr std::size_t widest = 990, most_of_header = 65536;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// One line of it: what a peer said cannot begin a field of its own.
std::string flat(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, widest)) {
    const auto u = static_cast<unsigned char>(c);
    out += u < 0x20 || u == 0x7f ? ' ' : c;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string host_of(std::string_view remote) {  // "mx1.example.net[192.0.2.1]:25"
  return std::string(remote.substr(0, remote.find('[')));
}

// RFC 3464 2.3.6: the words, lines joined; a line of the field stays short.
std::string diagnostic(const LastReply& last) {
  std::string words = last.reply.oneline();
  std::replace(words.begin(), words.end(), '\n', ' ');
  return flat(words);
}

std::string header_only(std::string_view message) {
  const std::size_t end = message.find("\r\n\r\n");
  std::string_view header =
      message.substr(0, std::min(end == std::string_view::npos ? message.size() : end + 2, most_of_header));
  header = header.substr(0, header.rfind('\n') == std::string_view::npos ? 0 : header.rfind('\n') + 1);
  std::string out;
  while (!header.empty()) {
    std::string_view line = header.substr(0, header.find('\n'));
    header.remove_prefix(std::min(header.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    out += line.substr(0, widest);
    out += "\r\n";
  }
  return out;
}

// A boundary that is in none of the parts.
std::string boundary_for(const FailureReport& report, std::string_view parts) {
  std::string boundary;
  for (int i = 0;; ++i) {
    boundary = "=_" + report.queue_id + "_" + std::to_string(i);
    if (parts.find(boundary) == std::string_view::npos) return boundary;
  }
}

std::string people_part(const FailureReport& report) {
  std::string out = "This is the mail server at " + report.reporting_mta + ".\r\n\r\n";
  out += "Your message of " + rfc5322_date(report.arrived) + " could not be delivered to ";
  out += report.failed.size() == 1 ? "this recipient" : "these recipients";
  out += ", and will not be tried again.\r\n";
  for (const auto& recipient : report.failed) {
    out += "\r\n  <" + flat(recipient.address) + ">\r\n";
    if (recipient.expired) out += "    it was tried until its time was over; the last answer was\r\n";
    const bool heard = recipient.last.reply.code != 0;
    if (!recipient.last.remote.empty())
      out += "    " + flat(recipient.last.remote) +
             (heard ? " said, in reply to " + std::string(text(recipient.last.stage)) : "") + ":\r\n";
    out += "    " + diagnostic(recipient.last) + "\r\n";
  }
  out += "\r\nThe header of your message is attached.\r\n";
  return out;
}

std::string status_part(const FailureReport& report) {
  std::string out = "Reporting-MTA: dns; " + report.reporting_mta + "\r\n";
  out += "X-Spoold-Queue-ID: " + report.queue_id + "\r\n";
  out += "Arrival-Date: " + rfc5322_date(report.arrived) + "\r\n";
  for (const auto& recipient : report.failed) {
    const bool ascii = is_ascii(recipient.address);
    out += "\r\nFinal-Recipient: " + std::string(ascii ? "rfc822" : "utf-8") + "; " +
           flat(recipient.address) + "\r\n";
    out += "Action: failed\r\nStatus: " + status_of(recipient) + "\r\n";
    if (const std::string host = host_of(recipient.last.remote); !host.empty() && !host.starts_with("unix:"))
      out += "Remote-MTA: dns; " + flat(host) + "\r\n";
    if (recipient.last.reply.code != 0)
      out += "Diagnostic-Code: smtp; " + diagnostic(recipient.last) + "\r\n";
    else
      out += "Diagnostic-Code: X-Spoold; " + diagnostic(recipient.last) + "\r\n";
    if (recipient.last.at != TimePoint{})
      out += "Last-Attempt-Date: " + rfc5322_date(recipient.last.at) + "\r\n";
  }
  return out;
}

}  // namespace

std::string status_of(const FailureReport::Recipient& recipient) {
  const smtp::Reply& reply = recipient.last.reply;
  // RFC 3464 2.3.4 wants a failure's class: what expired was temporary until then (RFC 3463 3.5, X.4.7).
  if (recipient.expired)
    return reply.enhanced.given() && reply.enhanced.klass == 5 ? reply.enhanced.text() : "5.4.7";
  if (reply.enhanced.given() && reply.enhanced.klass == 5) return reply.enhanced.text();
  switch (recipient.last.stage) {
    case Stage::rcpt:
      return reply.code == 552 ? "5.2.2" : "5.1.1";
    case Stage::mail:
      return "5.1.0";
    case Stage::data:
    case Stage::content:
    case Stage::dot:
      return reply.code == 552 ? "5.3.4" : "5.6.0";
    default:
      return "5.0.0";
  }
}

std::string write(const FailureReport& report) {
  const std::string people = people_part(report), status = status_part(report);
  const std::string header = header_only(report.original_header);
  const bool utf8_address = std::any_of(report.failed.begin(), report.failed.end(),
                                        [](const auto& r) { return !is_ascii(r.address); });
  const std::string boundary = boundary_for(report, people + status + header);
  const auto encoding = [](std::string_view part) {
    return is_ascii(part) ? std::string() : std::string("Content-Transfer-Encoding: 8bit\r\n");
  };

  std::string out = "From: Mail Delivery System <MAILER-DAEMON@" + report.reporting_mta + ">\r\n";
  out += "To: <" + report.to + ">\r\n";
  out += std::string("Subject: ") + subject_of_reports + "\r\n";
  out += "Date: " + rfc5322_date(report.now) + "\r\n";
  out += "Message-ID: <" + report.queue_id + "." + std::to_string(report.now.time_since_epoch().count()) +
         ".report@" + report.reporting_mta + ">\r\n";
  out += "Auto-Submitted: auto-replied\r\n";  // RFC 3834 5
  out += "MIME-Version: 1.0\r\n";
  out +=
      "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"" + boundary + "\"\r\n";
  out += encoding(people + status + header) + "\r\n";
  out += "This is a report in MIME format (RFC 3464).\r\n";

  out += "\r\n--" + boundary + "\r\nContent-Description: Notification\r\n";
  out += "Content-Type: text/plain; charset=utf-8\r\n" + encoding(people) + "\r\n" + people;

  out += "\r\n--" + boundary + "\r\nContent-Description: Delivery report\r\n";
  out += std::string("Content-Type: message/") +
         (utf8_address ? "global-delivery-status" : "delivery-status") + "\r\n";
  out += encoding(status) + "\r\n" + status;

  out += "\r\n--" + boundary + "\r\nContent-Description: Header of the message\r\n";
  out += std::string("Content-Type: ") +
         (is_ascii(header) ? "text/rfc822-headers" : "message/global-headers") + "\r\n";
  out += encoding(header) + "\r\n" + header;
  out += "\r\n--" + boundary + "--\r\n";
  return out;
}

}  // namespace spoold::mail
