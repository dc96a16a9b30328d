// One address that a connection may be made to, and what is known of the name that led there.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "protocol/dns/records.hpp"
#include "server/asio.hpp"

namespace spoold::server {

using dns::Tlsa;

struct Target {
  asio::generic::stream_protocol::endpoint endpoint;
  std::string host;  // the MX host, the smarthost, or an address literal; empty: a unix socket
  std::string text;  // for people and logs: "mx1.example.net[192.0.2.1]:25", "unix:/run/dovecot/lmtp"
  std::optional<asio::ip::address> source;  // to send from; empty: the system chooses
  bool secure = false;                      // the names that led to this host were validated by DNSSEC
  std::vector<Tlsa> tlsa;     // validated, also unusable ones (they count: RFC 7672 2.2); of host, or of what
                              // its CNAMEs end in
  std::string tlsa_base;      // the name that tlsa was found at; empty: host
  bool implicit_tls = false;  // of an smtps:// next hop
  bool local() const { return endpoint.protocol().family() == AF_UNIX; }
};

}  // namespace spoold::server
