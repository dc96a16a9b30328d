// One address that a connection may be made to, and what is known of the name that led there.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "server/asio.hpp"

namespace spoold::server {

/// RFC 6698 2.1.
struct Tlsa {
  std::uint8_t usage = 0, selector = 0, matching = 0;
  std::string data;
};

struct Target {
  asio::generic::stream_protocol::endpoint endpoint;
  std::string host;        // the MX host, the smarthost, or an address literal; empty: a unix socket
  std::string text;        // for people and logs: "mx1.example.net[192.0.2.1]:25", "unix:/run/dovecot/lmtp"
  bool secure = false;     // the names that led to this host were validated by DNSSEC
  std::vector<Tlsa> tlsa;  // validated; of host, or of what its CNAMEs end in
  bool local() const { return endpoint.protocol().family() == AF_UNIX; }
};

}  // namespace spoold::server
