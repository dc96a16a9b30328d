#include "server/office/own_mail.hpp"

#include <utility>

#include "conf/templates.hpp"
#include "protocol/list/verp.hpp"
#include "server/office/drafts.hpp"
#include "server/office/signing.hpp"

namespace spoold::server {
namespace {

constexpr const char* text_type =
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";

/// Its size, what delivery must know of its octets, and the places of its signatures.
void close(const conf::Settings& settings, mail::Outgoing out, store::NewMessage& made) {
  out.octets |= mail::octets_of(out.head);
  out.size = out.head.size();
  for (const mail::Splice& piece : out.body) out.size += piece.length + piece.own.size();
  put(std::move(out), made);
  place_signatures(settings, mail::Address(made.message.list_address).domain, made);
}

}  // namespace

std::optional<list::Letter> letter_named(const conf::Settings& settings, const list::List& list,
                                         std::string_view name, const list::LetterValues& values,
                                         std::string_view language) {
  if (language.empty()) language = list.settings.language;
  return list::letter(
      list, conf::template_text(settings.templates, list.address(), std::string(language), name), values);
}

store::NewMessage own_mail(const conf::Settings& settings, const list::List& list, const OwnMail& mail) {
  store::NewMessage made;
  made.message.list = list.id;
  made.message.list_address = list.address();
  made.message.from = mail.from;
  made.message.subject = mail.subject;
  made.message.message_id = "<" + unique_text(mail.at) + ".notice@" + settings.hostname + ">";
  std::string& head = made.head;
  head = "From: " + mail.from + "\r\nTo: " + mail.to + "\r\nSubject: " + mail.subject + "\r\n";
  head += "Date: " + rfc5322_date(mail.at) + "\r\nMessage-ID: " + made.message.message_id + "\r\n";
  head.append(mail.more)
      .append("Auto-Submitted: ")
      .append(mail.automatic)
      .append("\r\nMIME-Version: 1.0\r\n");
  return made;
}

void add_text(const conf::Settings& settings, store::NewMessage& made, std::string_view text) {
  mail::Outgoing out;
  out.head = std::move(made.head);
  out.head.append(text_type).append(text);
  close(settings, std::move(out), made);
}

void add_text(const conf::Settings& settings, store::NewMessage& made, std::string_view text,
              const std::string& boundary, const Attached& attached) {
  mail::Outgoing out;
  out.head = std::move(made.head);
  out.head += "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n\r\n--" + boundary + "\r\n";
  out.head.append(text_type).append(text).append("\r\n--").append(boundary).append("\r\nContent-Type: ");
  out.head.append(attached.type).append("\r\nContent-Disposition: inline\r\n");
  const bool eight_bit = attached.found.eight_bit || mail::octets_of(attached.octets).eight_bit;
  out.head += eight_bit ? "Content-Transfer-Encoding: 8bit\r\n\r\n" : "\r\n";
  out.head += attached.octets;
  std::string end = "\r\n--" + boundary + "--\r\n";
  if (attached.length == 0) {
    out.head += end;
  } else {
    out.octets = attached.found;
    mail::Splice splice;
    splice.length = attached.length;
    splice.own = std::move(end);
    out.body.push_back(std::move(splice));
  }
  close(settings, std::move(out), made);
}

void address_to(store::NewMessage& made, const list::List& list, const std::string& address,
                list::MemberId member) {
  if (member != 0) {
    made.message.copies = list::Copies::each_verp;
    made.message.verp_format = list.settings.verp_format;
  } else {
    made.message.reverse_path = list::bounces_address(list);
  }
  made.recipients.push_back({address, {}, member});
}

void address_to_all(store::NewMessage& made, const list::List& list, std::vector<std::string> addresses) {
  made.message.reverse_path = list::bounces_address(list);
  for (std::string& address : addresses) made.recipients.push_back({std::move(address)});
}

}  // namespace spoold::server
