#include "server/delivery/own_addresses.hpp"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <cstring>
#include <set>
#include <utility>

#include "server/delivery/ip.hpp"

namespace spoold::server {
namespace {

std::set<dns::Address> of_interfaces() {
  std::set<dns::Address> all;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return all;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    dns::Address address;
    if (one->ifa_addr->sa_family == AF_INET) {
      sockaddr_in four{};
      std::memcpy(&four, one->ifa_addr, sizeof four);
      std::memcpy(address.octets.data(), &four.sin_addr, 4);
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      sockaddr_in6 six{};
      std::memcpy(&six, one->ifa_addr, sizeof six);
      address.v6 = true;
      std::memcpy(address.octets.data(), &six.sin6_addr, 16);
    } else {
      continue;
    }
    all.insert(address);
  }
  freeifaddrs(list);
  return all;
}

}  // namespace

std::function<bool(const dns::Address&, std::uint16_t)> own_addresses(const conf::Settings& settings) {
  std::set<std::pair<std::uint16_t, dns::Address>> exact;
  std::set<std::uint16_t> everywhere;
  for (const conf::Listen& listen : settings.listen) {
    std::error_code error;
    const auto address = asio::ip::make_address(listen.host, error);
    if (error) continue;  // a unix socket
    if (address.is_unspecified())
      everywhere.insert(listen.port);
    else
      exact.emplace(listen.port, octets(address));
  }
  std::set<dns::Address> interfaces;
  if (!everywhere.empty()) interfaces = of_interfaces();
  return [exact, everywhere, interfaces](const dns::Address& address, std::uint16_t port) {
    if (exact.contains({port, address})) return true;
    const bool loopback = !address.v6 && address.octets[0] == 127;  // all of 127.0.0.0/8 is here
    return everywhere.contains(port) && (loopback || interfaces.contains(address));
  };
}

}  // namespace spoold::server
