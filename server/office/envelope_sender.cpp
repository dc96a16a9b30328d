#include "server/office/envelope_sender.hpp"

#include "protocol/mail/mailbox.hpp"

namespace spoold::server {

list::List list_of(const store::Message& message) {
  const mail::Address address(message.list_address);
  list::List list;
  list.id = message.list;
  list.local = address.local;
  list.domain = address.domain;
  return list;
}

EnvelopeSender::EnvelopeSender(const store::Message& message, char delimiter, const list::Hmac& hmac)
    : plain_(message.reverse_path) {
  if (message.list == 0) return;
  const list::List list = list_of(message);
  if (message.copies == list::Copies::each_verp)
    verp_.emplace(list, message.verp_format, delimiter, list::verp_epoch(message.arrived), hmac);
  else if (plain_.empty())
    plain_ = list::bounces_address(list);
}

std::string EnvelopeSender::of(const store::Recipient& recipient) const {
  if (!verp_) return plain_;
  std::string sender;
  verp_->append(sender, recipient.address, recipient.member);
  return sender;
}

}  // namespace spoold::server
