// The client behind a proxy (haproxy, nginx), as the proxy names it: by a PROXY header in front of all else (version 1 and 2 of
// haproxy's proxy-protocol.txt), or by XCLIENT (Postfix' XCLIENT_README).
//
//   ProxyHeader header;
//   while (header.state() == ProxyHeader::State::more) { peek; take away header.feed(peeked) octets; }
//
// Guarantees: what is behind the header is not touched. A header has at most 107 octets (version 1) or most_octets (2); of one the
// first 52 are kept. A header that is not exactly of the form ends it (bad): nothing is guessed. Whether a proxy may be believed is
// the caller's question.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "protocol/smtp/reply.hpp"

namespace spoold::smtp {

/// No address: the proxy does not say who it is, or speaks for itself (a health check).
struct ProxiedClient {
  struct Address {
    bool v6 = false;
    std::array<std::uint8_t, 16> octets{};  // the first four of IPv4
    bool operator==(const Address&) const = default;
  };
  std::optional<Address> address;  // IPv4 in IPv6's clothes as IPv4
  std::uint16_t port = 0;
};

class ProxyHeader {
 public:
  enum class State : std::uint8_t { more, done, bad };
  static constexpr std::size_t most_line = 107, most_octets = 4096;

  /// The octets that belong to the header, of those that came next.
  std::size_t feed(std::string_view octets);
  State state() const { return state_; }
  const ProxiedClient& client() const { return client_; }  // once it is done
  const char* fault() const { return fault_; }             // once it is bad: for the log

 private:
  std::size_t line(std::string_view octets);
  std::size_t binary(std::string_view octets);
  void read_line();
  void read_binary();
  bool bad(const char* fault);

  State state_ = State::more;
  ProxiedClient client_;
  const char* fault_ = "";
  std::string kept_;
  std::size_t seen_ = 0, size_ = 0;  // of version 2; size_ 0: not known yet
};

/// The argument of XCLIENT: "ADDR=192.0.2.1 PORT=40000 NAME=client.example ...", values in xtext. Only ADDR and PORT are
/// used; LOGIN with a name is refused, as no password was seen here. Refusals: 501 5.5.4 syntax, 550 5.7.0 LOGIN.
tl::expected<ProxiedClient, Reply> parse_xclient(std::string_view argument);

}  // namespace spoold::smtp
