#include "server/inbound/peer.hpp"

#include <doctest/doctest.h>

#include "conf/load.hpp"

using namespace spoold;
using server::Peer;

namespace {

Peer at(const char* address) {
  const asio::ip::tcp::endpoint from(asio::ip::make_address(address), 25);
  return Peer::of(asio::generic::stream_protocol::endpoint(from));
}

bool within(const Peer& peer, const char* network) {
  return peer.in(*conf::parse_network(network));
}

}  // namespace

TEST_CASE("peer: networks") {
  CHECK(within(at("192.0.2.1"), "192.0.2.0/24"));
  CHECK(within(at("192.0.2.130"), "192.0.2.128/25"));
  CHECK_FALSE(within(at("192.0.2.127"), "192.0.2.128/25"));
  CHECK(within(at("192.0.2.1"), "192.0.2.1"));
  CHECK_FALSE(within(at("192.0.2.2"), "192.0.2.1"));
  CHECK(within(at("198.51.100.7"), "0.0.0.0/0"));
  CHECK_FALSE(within(at("::1"), "0.0.0.0/0"));
  CHECK(within(at("2001:db8::5"), "2001:db8::/32"));
  CHECK_FALSE(within(at("2001:db9::5"), "2001:db8::/32"));
  CHECK_FALSE(within(at("192.0.2.1"), "::/0"));
  Peer local;
  local.unix_socket = true;
  CHECK(within(local, "unix"));
  CHECK_FALSE(within(local, "0.0.0.0/0"));
  CHECK_FALSE(within(at("127.0.0.1"), "unix"));
}

TEST_CASE("peer: IPv4-mapped addresses are IPv4") {
  const asio::ip::tcp::endpoint mapped(asio::ip::make_address("::ffff:192.0.2.1"), 40000);
  const Peer peer = Peer::of(asio::generic::stream_protocol::endpoint(mapped));
  CHECK(peer.host == "192.0.2.1");
  CHECK(peer.literal() == "[192.0.2.1]");
  CHECK(peer.text() == "192.0.2.1:40000");
  CHECK(within(peer, "192.0.2.0/24"));
  CHECK(at("2001:db8::1").literal() == "[IPv6:2001:db8::1]");
  CHECK(at("2001:db8::1").text() == "[2001:db8::1]:25");
}
