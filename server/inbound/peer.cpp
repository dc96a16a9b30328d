#include "server/inbound/peer.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "conf/load.hpp"

namespace spoold::server {

Peer Peer::of(const asio::generic::stream_protocol::endpoint& remote) {
  Peer peer;
  if (remote.size() >= sizeof(sockaddr_in) && remote.data()->sa_family == AF_INET) {
    sockaddr_in from{};
    std::memcpy(&from, remote.data(), sizeof from);
    peer.address = asio::ip::address_v4(ntohl(from.sin_addr.s_addr));
    peer.port = ntohs(from.sin_port);
  } else if (remote.size() >= sizeof(sockaddr_in6) && remote.data()->sa_family == AF_INET6) {
    sockaddr_in6 from{};
    std::memcpy(&from, remote.data(), sizeof from);
    asio::ip::address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), &from.sin6_addr, bytes.size());
    const asio::ip::address_v6 v6(bytes);
    if (v6.is_v4_mapped()) {
      peer.address = asio::ip::make_address_v4(asio::ip::v4_mapped, v6);
    } else {
      peer.address = v6;
    }
    peer.port = ntohs(from.sin6_port);
  } else {
    peer.unix_socket = true;
  }
  if (!peer.unix_socket) peer.host = peer.address.to_string();
  return peer;
}

Peer Peer::behind(const Peer& proxy, const smtp::ProxiedClient& client) {
  Peer peer;
  if (!client.address) {
    peer = proxy;
    peer.hidden = true;
    return peer;
  }
  const auto& octets = client.address->octets;
  if (client.address->v6)
    peer.address = asio::ip::address_v6(octets);
  else
    peer.address = asio::ip::address_v4({octets[0], octets[1], octets[2], octets[3]});
  peer.host = peer.address.to_string();
  peer.port = client.port;
  return peer;
}

std::vector<std::string> Peer::counted_by() const {
  if (unix_socket || address.is_v4()) return {host};
  const auto bytes = address.to_v6().to_bytes();
  const std::string network(bytes.begin(), bytes.end());
  return {network.substr(0, 8), network.substr(0, 6)};
}

std::string Peer::literal() const {
  if (unix_socket) return host;
  return (address.is_v6() ? "[IPv6:" : "[") + host + "]";
}

std::string Peer::text() const {
  if (unix_socket) return host;
  return (address.is_v6() ? "[" + host + "]:" : host + ":") + std::to_string(port);
}

bool Peer::in(const conf::Network& network) const {
  if (hidden) return false;
  if (unix_socket || network.unix_socket) return unix_socket && network.unix_socket;
  if (address.is_v6() != network.v6) return false;
  std::array<std::uint8_t, 16> bytes{};
  if (address.is_v6()) {
    bytes = address.to_v6().to_bytes();
  } else {
    const auto four = address.to_v4().to_bytes();
    std::copy(four.begin(), four.end(), bytes.begin());
  }
  return conf::contains(network, bytes);
}

bool Peer::in(const std::vector<conf::Network>& networks) const {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const conf::Network& network) { return in(network); });
}

}  // namespace spoold::server
