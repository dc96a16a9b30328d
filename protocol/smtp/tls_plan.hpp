// What TLS is asked to do on one connection. Made by delivery/tls_policy.hpp.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace spoold::smtp {

struct TlsPlan {
  enum class Use : std::uint8_t { never, offered, must } use = Use::never;
  enum class Trust : std::uint8_t { anyone, pkix, dane } trust = Trust::anyone;
  bool implicit = false;
  bool may_fall_back = false;      // after a failure: once more, in plain text
  bool plain_auth = false;         // credentials may go without TLS
  std::string policy;              // for people: "verified"
  std::string server_name;         // SNI; empty: none (an address literal)
  std::vector<std::string> names;  // any of these in the certificate
};

}  // namespace spoold::smtp
