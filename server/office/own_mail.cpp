#include "server/office/own_mail.hpp"

#include <utility>

#include "protocol/list/verp.hpp"
#include "server/office/drafts.hpp"

namespace spoold::server {

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
  head.append("Auto-Submitted: ").append(mail.automatic).append("\r\nMIME-Version: 1.0\r\n");
  return made;
}

void add_text(store::NewMessage& made, std::string_view text) {
  made.head += "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
  made.head += text;
  close(made);
}

void close(store::NewMessage& made) {
  mail::Outgoing out;
  out.head = std::move(made.head);
  out.size = out.head.size();
  out.octets = mail::octets_of(out.head);
  put(std::move(out), made);
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

}  // namespace spoold::server
