// What all sessions that begin under one configuration share, made of it once. Immutable: a session keeps the Rules
// that it began with, whatever the configuration becomes meanwhile.
#pragma once
#include <memory>

#include "conf/settings.hpp"
#include "protocol/smtp/server_dialog.hpp"
#include "server/office/address_book.hpp"

namespace spoold::server {

struct Rules {
  Rules(std::shared_ptr<const conf::Settings> the_settings, list::Hmac hmac)
      : settings(std::move(the_settings)), addresses(settings, std::move(hmac)) {
    smtp.hostname = settings->hostname;
    smtp.max_recipients = static_cast<std::size_t>(settings->smtp.max_recipients);
    smtp.content.size = settings->smtp.max_message_size;
    lmtp = smtp;
    lmtp.lmtp = true;
  }

  const smtp::ServerProfile& profile(conf::Listen::Protocol protocol) const {
    return protocol == conf::Listen::Protocol::lmtp ? lmtp : smtp;
  }

  const std::shared_ptr<const conf::Settings> settings;
  const AddressBook addresses;
  smtp::ServerProfile smtp, lmtp;
};

}  // namespace spoold::server
