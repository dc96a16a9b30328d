#include "protocol/mail/dsn.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::mail {
namespace {

constexpr std::size_t widest = 990, most_of_header = 65536;
// With the name of a field before them they are a line (RFC 5322 2.1.1).
constexpr std::size_t most_of_words = 900;
constexpr std::uint64_t whole_when_asked = 256 << 10, whole_anyway = 50 << 10;

// One line of it: what a peer said cannot begin a field of its own.
std::string flat(std::string_view text) {
  std::string out;
  for (const char c : utf8_front(text, most_of_words)) {
    const auto u = static_cast<unsigned char>(c);
    out += u < 0x20 || u == 0x7f ? ' ' : c;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// RFC 3464 2.1: a message/delivery-status is 7bit. What a peer sent in any charset is kept as "\xE9".
std::string ascii(std::string_view text, std::size_t most = std::string::npos) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x80)
      out += c;
    else
      (((out += "\\x") += digits[u >> 4]) += digits[u & 15]);
    if (out.size() >= most) break;
  }
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

// For people, in the charset that their part names.
std::string readable(const std::string& words) {
  return is_utf8(words) ? words : ascii(words, most_of_words);
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
std::string boundary_for(const Report& report, std::string_view parts) {
  std::string boundary;
  for (int i = 0;; ++i) {
    boundary = "=_" + report.queue_id + "_" + std::to_string(i);
    if (parts.find(boundary) == std::string_view::npos) return boundary;
  }
}

bool any(const Report& report, Action action) {
  return std::any_of(report.recipients.begin(), report.recipients.end(),
                     [action](const auto& r) { return r.action == action; });
}

// What people read before the recipients of one action.
std::string sentence(const Report& report, Action action, bool several) {
  const std::string to = several ? " these recipients" : " this recipient";
  switch (action) {
    case Action::failed:
      return "could not be delivered to" + to + ", and will not be tried again.";
    case Action::delayed:
      return "has not yet been delivered to" + to +
             ". You need not send it again:\r\nit will be tried until " + rfc5322_date(report.retry_until) +
             ".";
    case Action::relayed:
      return "was handed on for" + to + " to a server that\r\ndoes not report what becomes of it.";
    case Action::delivered:
      return "was delivered to" + to + ".";
    case Action::expanded:
      return "was delivered to" + to + ", and sent on from there.";
    case Action::none:
      break;
  }
  return "concerns" + to + ".";
}

void tell(const Report::Recipient& recipient, std::string& out) {
  out += "\r\n  <" + flat(recipient.address) + ">\r\n";
  if (recipient.expired) out += "    it was tried until its time was over; the last answer was\r\n";
  const LastReply& last = recipient.last;
  const std::string words = diagnostic(last);
  if (words.empty()) return;
  const bool heard = last.reply.code != 0 && last.stage != Stage::none;
  if (!last.remote.empty())
    out += "    " + flat(last.remote) + (heard ? " said, in reply to " + std::string(text(last.stage)) : "") +
           ":\r\n";
  out += "    " + readable(words) + "\r\n";
}

std::string people_part(const Report& report) {
  std::string out = "This is the mail server at " + report.reporting_mta + ".\r\n";
  for (const Action action :
       {Action::failed, Action::delayed, Action::relayed, Action::expanded, Action::delivered}) {
    const auto count = std::count_if(report.recipients.begin(), report.recipients.end(),
                                     [action](const auto& r) { return r.action == action; });
    if (count == 0) continue;
    out += report.of_report ? "\r\nThis server's report of " : "\r\nYour message of ";
    out += rfc5322_date(report.arrived) + "\r\n" + sentence(report, action, count > 1) + "\r\n";
    for (const auto& recipient : report.recipients)
      if (recipient.action == action) tell(recipient, out);
  }
  const std::string it = report.of_report ? "the report" : "your message";
  out += report.whole ? "\r\nAttached is " + it + ".\r\n" : "\r\nAttached is the header of " + it + ".\r\n";
  return out;
}

// "rfc822; anne@example.org" of an ORCPT. utf-8 addresses keep the ASCII form they came in (RFC 6533 3).
std::string original_recipient(const std::string& orcpt) {
  const std::size_t semicolon = orcpt.find(';');
  if (semicolon == std::string::npos) return {};
  return flat(orcpt.substr(0, semicolon) + "; " + smtp::decode_xtext(orcpt.substr(semicolon + 1)));
}

// RFC 6533 3: who has an ASCII address himself need not be able to read UTF-8 in fields.
bool global(const Report& report) {
  return !is_ascii(report.to);
}

std::string final_recipient(const Report& report, const std::string& address) {
  if (is_ascii(address)) return "rfc822; " + flat(address);
  if (global(report)) return "utf-8; " + flat(address);
  std::string ascii;
  smtp::append_orcpt(ascii, address);
  return ascii.insert(ascii.find(';') + 1, " ");
}

void recipient_fields(const Report& report, const Report::Recipient& recipient, std::string& out) {
  const LastReply& last = recipient.last;
  if (const std::string original = original_recipient(recipient.orcpt); !original.empty())
    out += "Original-Recipient: " + original + "\r\n";
  out += "Final-Recipient: " + final_recipient(report, recipient.address) + "\r\n";
  out += std::string("Action: ") + text(recipient.action) + "\r\nStatus: " + status_of(recipient) + "\r\n";
  const bool by_us = last.remote == report.reporting_mta;
  if (const std::string host = host_of(last.remote); !host.empty() && !host.starts_with("unix:") && !by_us)
    out += "Remote-MTA: dns; " + flat(host) + "\r\n";
  const std::string words =
      global(report) ? readable(diagnostic(last)) : ascii(diagnostic(last), most_of_words);
  if (!words.empty())
    out +=
        (last.reply.code != 0 ? "Diagnostic-Code: smtp; " : "Diagnostic-Code: X-Spoold; ") + words + "\r\n";
  if (last.at != TimePoint{}) out += "Last-Attempt-Date: " + rfc5322_date(last.at) + "\r\n";
  if (recipient.action == Action::delayed && report.retry_until != TimePoint{})
    out += "Will-Retry-Until: " + rfc5322_date(report.retry_until) + "\r\n";
}

std::string status_part(const Report& report) {
  std::string out;
  if (!report.envid.empty())
    out += "Original-Envelope-Id: " + flat(smtp::decode_xtext(report.envid)) + "\r\n";
  out += "Reporting-MTA: dns; " + report.reporting_mta + "\r\n";
  if (!report.received_from.empty()) out += "Received-From-MTA: dns; " + flat(report.received_from) + "\r\n";
  out += "X-Spoold-Queue-ID: " + report.queue_id + "\r\n";
  out += "Arrival-Date: " + rfc5322_date(report.arrived) + "\r\n";
  for (const auto& recipient : report.recipients) {
    out += "\r\n";
    recipient_fields(report, recipient, out);
  }
  // Envelope-Id and Original-Recipient come from xtext, which can hold any octet.
  return global(report) && is_utf8(out) ? out : ascii(out);
}

}  // namespace

const char* text(Action action) {
  static constexpr std::array words{"none", "failed", "delayed", "relayed", "delivered", "expanded"};
  return words.at(static_cast<std::size_t>(action));
}

const char* subject_of(const Report& report) {
  if (report.of_report) return "Report that could not be delivered";
  if (any(report, Action::failed)) return "Undelivered mail returned to sender";
  if (any(report, Action::delayed)) return "Delayed mail, still being tried";
  return "Mail delivery report";
}

bool returns_whole(smtp::Ret ret, std::uint64_t size) {
  if (ret == smtp::Ret::headers) return false;
  return size <= (ret == smtp::Ret::full ? whole_when_asked : whole_anyway);
}

std::string status_of(const Report::Recipient& recipient) {
  const smtp::Reply& reply = recipient.last.reply;
  const auto heard = [&](int klass) { return reply.enhanced.given() && reply.enhanced.klass == klass; };
  switch (recipient.action) {
    case Action::relayed:
    case Action::delivered:
    case Action::expanded:
      return heard(2) ? reply.enhanced.text() : "2.0.0";
    case Action::delayed:
      if (heard(4)) return reply.enhanced.text();
      if (reply.code != 0) return "4.0.0";
      return recipient.last.stage == Stage::connect ? "4.4.1" : "4.4.2";
    case Action::none:
    case Action::failed:
      break;
  }
  // RFC 3464 2.3.4 wants a failure's class: what expired was temporary until then (RFC 3463 3.5, X.4.7).
  if (heard(5)) return reply.enhanced.text();
  if (recipient.expired) return "5.4.7";
  switch (recipient.last.stage) {
    case Stage::rcpt:
      if (reply.code == 556) return "5.1.10";  // RFC 7504, RFC 7505
      return reply.code == 552 ? "5.2.2" : "5.0.0";
    case Stage::data:
    case Stage::content:
    case Stage::dot:
      return reply.code == 552 ? "5.3.4" : "5.6.0";
    default:  // RFC 3463: nothing more is known, and other list servers unsubscribe on 5.1.1
      return "5.0.0";
  }
}

std::string write(const Report& report) {
  const std::string people = people_part(report), status = status_part(report);
  const std::string returned = report.whole ? report.original : header_only(report.original);
  const std::string boundary = boundary_for(report, people + status + returned);
  const auto encoding = [](std::string_view part) {
    return is_ascii(part) ? std::string() : std::string("Content-Transfer-Encoding: 8bit\r\n");
  };
  // RFC 6533 6: the global types where the header holds UTF-8.
  const bool utf8_header = !is_ascii(std::string_view(returned).substr(0, returned.find("\r\n\r\n")));
  const char* const returned_type = report.whole
                                        ? (utf8_header ? "message/global" : "message/rfc822")
                                        : (utf8_header ? "message/global-headers" : "text/rfc822-headers");

  std::string out = "From: Mail Delivery System <MAILER-DAEMON@" + report.reporting_mta + ">\r\n";
  out += "To: <" + report.to + ">\r\n";
  out += std::string("Subject: ") + subject_of(report) + "\r\n";
  out += "Date: " + rfc5322_date(report.now) + "\r\n";
  out += "Message-ID: <" + report.queue_id + "." + std::to_string(report.now.time_since_epoch().count()) +
         ".report@" + report.reporting_mta + ">\r\n";
  out += "Auto-Submitted: auto-replied\r\n";  // RFC 3834 5
  out += "MIME-Version: 1.0\r\n";
  out +=
      "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"" + boundary + "\"\r\n";
  out += encoding(people + status + returned) + "\r\n";
  out += "This is a report in MIME format (RFC 3464).\r\n";

  out += "\r\n--" + boundary + "\r\nContent-Description: Notification\r\n";
  out += "Content-Type: text/plain; charset=utf-8\r\n" + encoding(people) + "\r\n" + people;

  out += "\r\n--" + boundary + "\r\nContent-Description: Delivery report\r\n";
  out += std::string("Content-Type: message/") +
         (global(report) ? "global-delivery-status" : "delivery-status") + "\r\n";
  out += encoding(status) + "\r\n" + status;

  out += "\r\n--" + boundary +
         "\r\nContent-Description: " + (report.whole ? "The message" : "Header of the message") + "\r\n";
  out += std::string("Content-Type: ") + returned_type + "\r\n";
  out += encoding(returned) + "\r\n" + returned;
  out += "\r\n--" + boundary + "--\r\n";
  return out;
}

}  // namespace spoold::mail
