// Who is at the other end of an inbound connection, and whether it may relay.
#pragma once
#include <string>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/smtp/proxied.hpp"
#include "server/asio.hpp"

namespace spoold::server {

using StreamSocket = asio::generic::stream_protocol::socket;

struct Peer {
  bool unix_socket = false;
  asio::ip::address address;  // IPv4-mapped addresses as IPv4
  std::string host = "unix";  // "192.0.2.1", "2001:db8::1", "unix"
  std::uint16_t port = 0;
  bool hidden =
      false;  // behind a proxy that does not name it (then the rest is the proxy's): in no network, no rights

  static Peer of(const asio::generic::stream_protocol::endpoint& remote);
  /// The client that a proxy speaks for.
  static Peer behind(const Peer& proxy, const smtp::ProxiedClient& client);
  /// What connections are counted by, the narrowest first: an IPv4 address; the /64 and the /48 of an IPv6 one.
  std::vector<std::string> counted_by() const;
  std::string literal() const;  // "[192.0.2.1]", "[IPv6:2001:db8::1]", "unix": for Received
  std::string text() const;     // "192.0.2.1:40000": for logs
  bool in(const conf::Network& network) const;
  bool in(const std::vector<conf::Network>& networks) const;
};

}  // namespace spoold::server
