// An address as DNS has it and as Asio has it.
#pragma once
#include <algorithm>

#include "protocol/dns/records.hpp"
#include "server/asio.hpp"

namespace spoold::server {

inline asio::ip::address ip(const dns::Address& address) {
  if (address.v6) return asio::ip::address_v6(address.octets);
  asio::ip::address_v4::bytes_type four;
  std::copy_n(address.octets.begin(), four.size(), four.begin());
  return asio::ip::address_v4(four);
}

inline dns::Address octets(const asio::ip::address& address) {
  dns::Address out;
  out.v6 = address.is_v6();
  if (out.v6) {
    out.octets = address.to_v6().to_bytes();
  } else {
    const auto four = address.to_v4().to_bytes();
    std::copy(four.begin(), four.end(), out.octets.begin());
  }
  return out;
}

}  // namespace spoold::server
