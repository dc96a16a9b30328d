#include "server/office/senders.hpp"

#include <algorithm>

#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"
#include "store/directory/users.hpp"

namespace spoold::server {
namespace {

using Senders = conf::Submission::Senders;
using store::directory::User;

bool may_send_as(const User& user, Senders senders, const Mailbox& address) {
  if (senders == Senders::any) return true;
  return std::any_of(user.addresses.begin(), user.addresses.end(), [&](const std::string& text) {
    const auto own = Mailbox::parse(text);
    return own && (senders == Senders::own ? own->key() == address.key() : own->domain() == address.domain());
  });
}

// "you may send as anne@x.example, anne@y.example": the first ones of many.
std::string rights(const User& user, Senders senders) {
  constexpr std::size_t most = 3;
  std::string out;
  for (std::size_t i = 0; i < user.addresses.size() && i < most; ++i) {
    const auto own = Mailbox::parse(user.addresses[i]);
    if (!own) continue;
    out += out.empty() ? "" : ", ";
    out += senders == Senders::own ? own->text() : "anybody at " + std::string(own->domain());
  }
  if (out.empty()) return "you have no address to send as: ask who runs this server for one";
  return "you may send as " + out + (user.addresses.size() > most ? " and others" : "");
}

smtp::Reply gone() {
  return {550, {5, 7, 1}, "you may not send mail any more: ask who runs this server"};
}

}  // namespace

std::optional<smtp::Reply> sender_refusal(const store::Read& read, std::string_view user, Senders senders,
                                          const std::optional<Mailbox>& reverse_path) {
  const auto found = store::directory::find_user(read, user);
  if (!found) return gone();
  if (!reverse_path || may_send_as(*found, senders, *reverse_path)) return std::nullopt;
  return smtp::Reply{
      553, {5, 7, 1}, "MAIL FROM:<" + reverse_path->text() + "> is not yours; " + rights(*found, senders)};
}

std::optional<smtp::Reply> author_refusal(const store::Read& read, std::string_view user, Senders senders,
                                          const mail::Header& header) {
  const auto found = store::directory::find_user(read, user);
  if (!found) return gone();
  bool from = false;
  for (const mail::Field& field : header.fields()) {
    const bool author = mail::same(field.name, "From");
    if (!author && !mail::same(field.name, "Sender")) continue;
    const mail::AddressList list = mail::address_list(field.value);
    if (!list.faults.empty())
      return smtp::Reply{550, {5, 6, 0}, std::string(field.name) + " cannot be read: " + list.faults.front()};
    for (const mail::NameAddr& one : list.addresses) {
      from = from || author;
      if (!may_send_as(*found, senders, one.mailbox))
        return smtp::Reply{550,
                           {5, 7, 1},
                           std::string(field.name) + ": " + one.mailbox.text() + " is not yours; " +
                               rights(*found, senders)};
    }
  }
  if (!from) return smtp::Reply{550, {5, 6, 0}, "the message has no From with your address"};
  return std::nullopt;
}

}  // namespace spoold::server
