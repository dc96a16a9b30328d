#include "protocol/smtp/dsn.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::smtp {
namespace {

using mail::is_ascii, mail::is_utf8, mail::utf8_front;

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

// The name of a host, as a field has it: whatever a host called itself, the line stays short.
std::string host_name(std::string_view name) {
  return ascii(flat(name), most_of_words);
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
std::string boundary_for(const Dsn& dsn, std::string_view parts) {
  std::string boundary;
  for (int i = 0;; ++i) {
    boundary = "=_" + dsn.queue_id + "_" + std::to_string(i);
    if (parts.find(boundary) == std::string_view::npos) return boundary;
  }
}

bool any(const Dsn& dsn, DsnAction action) {
  return std::any_of(dsn.recipients.begin(), dsn.recipients.end(),
                     [action](const auto& r) { return r.action == action; });
}

// What people read before the recipients of one action.
std::string sentence(const Dsn& dsn, DsnAction action, bool several) {
  const std::string to = several ? " these recipients" : " this recipient";
  switch (action) {
    case DsnAction::failed:
      return "could not be delivered to" + to + ", and will not be tried again.";
    case DsnAction::delayed:
      return "has not yet been delivered to" + to +
             ". You need not send it again:\r\nit will be tried until " + rfc5322_date(dsn.retry_until) + ".";
    case DsnAction::relayed:
      return "was handed on for" + to + " to a server that\r\ndoes not report what becomes of it.";
    case DsnAction::delivered:
      return "was delivered to" + to + ".";
    case DsnAction::expanded:
      return "was delivered to" + to + ", and sent on from there.";
    case DsnAction::none:
      break;
  }
  return "concerns" + to + ".";
}

void tell(const Dsn::Recipient& recipient, std::string& out) {
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

std::string people_part(const Dsn& dsn) {
  std::string out = "This is the mail server at " + dsn.reporting_mta + ".\r\n";
  for (const DsnAction action : {DsnAction::failed, DsnAction::delayed, DsnAction::relayed,
                                 DsnAction::expanded, DsnAction::delivered}) {
    const auto count = std::count_if(dsn.recipients.begin(), dsn.recipients.end(),
                                     [action](const auto& r) { return r.action == action; });
    if (count == 0) continue;
    out += dsn.of_report ? "\r\nThis server's report of " : "\r\nYour message of ";
    out += rfc5322_date(dsn.arrived) + "\r\n" + sentence(dsn, action, count > 1) + "\r\n";
    for (const auto& recipient : dsn.recipients)
      if (recipient.action == action) tell(recipient, out);
  }
  const std::string it = dsn.of_report ? "the report" : "your message";
  out += dsn.whole ? "\r\nAttached is " + it + ".\r\n" : "\r\nAttached is the header of " + it + ".\r\n";
  return out;
}

// "rfc822; anne@example.org" of an ORCPT. utf-8 addresses keep the ASCII form they came in (RFC 6533 3).
std::string original_recipient(const std::string& orcpt) {
  const std::size_t semicolon = orcpt.find(';');
  if (semicolon == std::string::npos) return {};
  return flat(orcpt.substr(0, semicolon) + "; " + decode_xtext(orcpt.substr(semicolon + 1)));
}

// RFC 6533 3: who has an ASCII address himself need not be able to read UTF-8 in fields.
bool global(const Dsn& dsn) {
  return !is_ascii(dsn.to);
}

std::string final_recipient(const Dsn& dsn, const std::string& address) {
  if (is_ascii(address)) return "rfc822; " + flat(address);
  if (global(dsn)) return "utf-8; " + flat(address);
  std::string ascii;
  append_orcpt(ascii, address);
  return ascii.insert(ascii.find(';') + 1, " ");
}

void recipient_fields(const Dsn& dsn, const Dsn::Recipient& recipient, std::string& out) {
  const LastReply& last = recipient.last;
  if (const std::string original = original_recipient(recipient.orcpt); !original.empty())
    out += "Original-Recipient: " + original + "\r\n";
  out += "Final-Recipient: " + final_recipient(dsn, recipient.address) + "\r\n";
  out += std::string("Action: ") + text(recipient.action) + "\r\nStatus: " + status_of(recipient) + "\r\n";
  const bool by_us = last.remote == dsn.reporting_mta;
  if (const std::string host = host_of(last.remote); !host.empty() && !host.starts_with("unix:") && !by_us)
    out += "Remote-MTA: dns; " + host_name(host) + "\r\n";
  const std::string words = global(dsn) ? readable(diagnostic(last)) : ascii(diagnostic(last), most_of_words);
  if (!words.empty())
    out +=
        (last.reply.code != 0 ? "Diagnostic-Code: smtp; " : "Diagnostic-Code: X-Spoold; ") + words + "\r\n";
  if (last.at != TimePoint{}) out += "Last-Attempt-Date: " + rfc5322_date(last.at) + "\r\n";
  if (recipient.action == DsnAction::delayed && dsn.retry_until != TimePoint{})
    out += "Will-Retry-Until: " + rfc5322_date(dsn.retry_until) + "\r\n";
}

std::string status_part(const Dsn& dsn) {
  std::string out;
  if (!dsn.envid.empty()) out += "Original-Envelope-Id: " + flat(decode_xtext(dsn.envid)) + "\r\n";
  out += "Reporting-MTA: dns; " + dsn.reporting_mta + "\r\n";
  if (!dsn.received_from.empty()) out += "Received-From-MTA: dns; " + host_name(dsn.received_from) + "\r\n";
  out += "X-Spoold-Queue-ID: " + dsn.queue_id + "\r\n";
  out += "Arrival-Date: " + rfc5322_date(dsn.arrived) + "\r\n";
  for (const auto& recipient : dsn.recipients) {
    out += "\r\n";
    recipient_fields(dsn, recipient, out);
  }
  // Envelope-Id and Original-Recipient come from xtext, which can hold any octet.
  return global(dsn) && is_utf8(out) ? out : ascii(out);
}

}  // namespace

const char* text(DsnAction action) {
  static constexpr std::array words{"none", "failed", "delayed", "relayed", "delivered", "expanded"};
  return words.at(static_cast<std::size_t>(action));
}

const char* subject_of(const Dsn& dsn) {
  if (dsn.of_report) return "Report that could not be delivered";
  if (any(dsn, DsnAction::failed)) return "Undelivered mail returned to sender";
  if (any(dsn, DsnAction::delayed)) return "Delayed mail, still being tried";
  return "Mail delivery report";
}

bool returns_whole(Ret ret, std::uint64_t size) {
  if (ret == Ret::headers) return false;
  return size <= (ret == Ret::full ? whole_when_asked : whole_anyway);
}

std::string status_of(const Dsn::Recipient& recipient) {
  const Reply& reply = recipient.last.reply;
  const auto heard = [&](int klass) { return reply.enhanced.given() && reply.enhanced.klass == klass; };
  switch (recipient.action) {
    case DsnAction::relayed:
    case DsnAction::delivered:
    case DsnAction::expanded:
      return heard(2) ? reply.enhanced.text() : "2.0.0";
    case DsnAction::delayed:
      if (heard(4)) return reply.enhanced.text();
      if (reply.code != 0) return "4.0.0";
      return recipient.last.stage == Stage::connect ? "4.4.1" : "4.4.2";
    case DsnAction::none:
    case DsnAction::failed:
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

std::string write(const Dsn& dsn) {
  const std::string people = people_part(dsn), status = status_part(dsn);
  const std::string returned = dsn.whole ? dsn.original : header_only(dsn.original);
  const std::string boundary = boundary_for(dsn, people + status + returned);
  const auto encoding = [](std::string_view part) {
    return is_ascii(part) ? std::string() : std::string("Content-Transfer-Encoding: 8bit\r\n");
  };
  // RFC 6533 6: the global types where the header holds UTF-8.
  const bool utf8_header = !is_ascii(std::string_view(returned).substr(0, returned.find("\r\n\r\n")));
  const char* const returned_type = dsn.whole
                                        ? (utf8_header ? "message/global" : "message/rfc822")
                                        : (utf8_header ? "message/global-headers" : "text/rfc822-headers");

  std::string out = "From: Mail Delivery System <MAILER-DAEMON@" + dsn.reporting_mta + ">\r\n";
  out += "To: <" + dsn.to + ">\r\n";
  out += std::string("Subject: ") + subject_of(dsn) + "\r\n";
  out += "Date: " + rfc5322_date(dsn.now) + "\r\n";
  out += "Message-ID: <" + dsn.queue_id + "." + std::to_string(dsn.now.time_since_epoch().count()) +
         ".report@" + dsn.reporting_mta + ">\r\n";
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
         (global(dsn) ? "global-delivery-status" : "delivery-status") + "\r\n";
  out += encoding(status) + "\r\n" + status;

  out += "\r\n--" + boundary +
         "\r\nContent-Description: " + (dsn.whole ? "The message" : "Header of the message") + "\r\n";
  out += std::string("Content-Type: ") + returned_type + "\r\n";
  out += encoding(returned) + "\r\n" + returned;
  out += "\r\n--" + boundary + "--\r\n";
  return out;
}

}  // namespace spoold::smtp
