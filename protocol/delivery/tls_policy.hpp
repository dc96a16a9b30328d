// What is asked of TLS at one address of a host, from the operator's policy and what DNS said (RFC 3207,
// 6125, 7672, 8461 4.2). Pure; the session carries it out, smtp::Opening asks for STARTTLS by it.
//
// Guarantees: a plan that demands TLS never falls back to plain text; with credentials plain text is possible
// only where nobody listens (loopback, unix sockets). See conf/README.md for the words of the policy.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/dns/records.hpp"
#include "protocol/smtp/tls_plan.hpp"
#include "protocol/time.hpp"

namespace spoold::delivery {

/// What the configuration says of a route.
struct TlsRules {
  std::optional<conf::Tls> asked;                  // of [[destination]], [relay] or [[domain]]
  conf::Tls otherwise = conf::Tls::opportunistic;  // of [delivery]
  bool configured = false;                         // a next hop of the configuration, not found by MX
  bool credentials = false;                        // AUTH will be done
  bool require_tls =
      false;  // for mail with REQUIRETLS: whatever else is asked for, the host is authenticated (RFC 8689 4.2.1)
};

/// What is known of one address.
struct TlsFacts {
  std::string_view host;       // its name, or an address literal
  std::string_view domain;     // what mail is for: the recipients' domain by MX; empty: host
  std::string_view tlsa_base;  // the name that `tlsa` was found at; empty: host
  const std::vector<dns::Tlsa>* tlsa = nullptr;
  bool unix_socket = false, loopback = false;
  bool implicit = false;       // TLS from the first octet
  bool failed_lately = false;  // opportunistic TLS broke there (PlaintextHosts)
};

using smtp::TlsPlan;

TlsPlan plan_tls(const TlsRules&, const TlsFacts&);

/// Hosts where opportunistic TLS broke: for an hour they are not asked for it. Bounded.
class PlaintextHosts {
 public:
  static constexpr std::size_t most = 1000;
  void add(const std::string& host, TimePoint now);
  bool contains(const std::string& host, TimePoint now) const;

 private:
  std::unordered_map<std::string, TimePoint> until_;
};

}  // namespace spoold::delivery
