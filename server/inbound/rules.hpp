// What all sessions that begin under one configuration share, made of it once. Immutable: a session keeps the Rules
// that it began with, whatever the configuration becomes meanwhile.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "conf/settings.hpp"
#include "protocol/smtp/server_dialog.hpp"
#include "server/auth/signing_keys.hpp"
#include "server/office/address_book.hpp"
#include "server/tls/tls_server.hpp"

namespace spoold::server {

/// What a listener offers.
struct Door {
  smtp::ServerProfile profile;
  std::shared_ptr<const TlsServer> tls;  // absent: there is no TLS
  bool implicit_tls = false;             // from the first octet (RFC 8314)
  bool proxy_protocol = false;           // a PROXY header comes first
};

struct Rules {
  /// `tls`: for each [[listen]] in order; absent ones have none.
  Rules(std::shared_ptr<const conf::Settings> the_settings, list::Hmac hmac,
        std::vector<std::shared_ptr<const TlsServer>> tls = {},
        std::shared_ptr<const SigningKeys> our_keys = nullptr)
      : settings(std::move(the_settings)), addresses(settings, std::move(hmac)), keys(std::move(our_keys)) {
    tls.resize(settings->listen.size());
    for (const conf::Listen& listen : settings->listen) {
      Door& door = doors.emplace_back();
      door.profile.hostname = settings->hostname;
      door.profile.max_recipients = static_cast<std::size_t>(settings->smtp.max_recipients);
      door.profile.content.size = settings->smtp.max_message_size;
      door.profile.submission = listen.protocol == conf::Listen::Protocol::submission;
      door.profile.lmtp = listen.protocol == conf::Listen::Protocol::lmtp;
      door.profile.xclient = listen.xclient;
      door.proxy_protocol = listen.proxy_protocol;
      door.tls = std::move(tls[doors.size() - 1]);
      door.implicit_tls = door.tls && listen.tls == conf::Listen::Tls::implicit;
      door.profile.starttls = door.tls && !door.implicit_tls;
    }
  }

  const std::shared_ptr<const conf::Settings> settings;
  const AddressBook addresses;
  const std::shared_ptr<const SigningKeys> keys;  // by which copies that come back were signed; absent: none
  std::vector<Door> doors;                        // of settings->listen
};

/// With a TlsServer for each listener that wants TLS; the error: what OpenSSL did not do.
tl::expected<std::shared_ptr<const Rules>, std::string> make_rules(
    std::shared_ptr<const conf::Settings> settings, list::Hmac hmac,
    const std::shared_ptr<const Certificates>& certificates, std::shared_ptr<const SigningKeys> keys);

}  // namespace spoold::server
