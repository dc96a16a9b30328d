// What the DNS answered, and the records in it (RFC 1035 3.3 and 4.1, 3596, 6698). All of it is hostile input: a
// record that is not what its type says is no record. Names are text in lower case without the final dot;
// only letters, digits,
// '-' and '_' pass ('_' is no host name, but is met in MX records).
//
// See also: resolution.hpp (what the answers mean for mail).
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/time.hpp"

namespace spoold::dns {

enum class Type : std::uint16_t { a = 1, cname = 5, ptr = 12, mx = 15, txt = 16, aaaa = 28, tlsa = 52 };
const char* text(Type);  // "MX"

struct Question {
  std::string
      name;  // lower case, without the final dot. What SPF macros make of an address may have any octet in a label
  Type type = Type::a;
  auto operator<=>(const Question&) const = default;
};

struct Answer {
  enum class Status : std::uint8_t { ok, nodata, nxdomain, failed, bogus, timeout };
  Status status = Status::failed;
  bool secure = false;  // all of it, CNAMEs on the way too, was validated by DNSSEC
  Duration ttl{};
  std::string canonical;             // the name that CNAMEs led to; empty: the name that was asked for
  std::string why;                   // of a failure, for people
  std::vector<std::string> records;  // RDATA, names in it not compressed

  /// It may be different in a moment: nothing follows from it.
  bool temporary() const { return status >= Status::failed; }
};

struct Address {
  bool v6 = false;
  std::array<std::uint8_t, 16> octets{};  // the first four of IPv4
  auto operator<=>(const Address&) const = default;
};

/// "192.0.2.1" or "2001:db8::1", without brackets and zones.
std::optional<Address> parse_ip(std::string_view text);
/// As RFC 5952 writes it.
std::string text(const Address&);
/// An IPv4 address in IPv6's clothes (::ffff:192.0.2.1) as what it is; any other one as it is.
Address unmapped(const Address&);
/// The name whose PTR records name the address: "1.2.0.192.in-addr.arpa", "1.0.0. ... .ip6.arpa" (RFC 3596 2.5).
std::string reverse_name(const Address&);
/// The part of reverse_name() that stands for the address, in front of "in-addr.arpa", "ip6.arpa" or a DNSxL's zone.
std::string reversed(const Address&);

/// May mail be sent there? Not to "this host", multicast, broadcast, and IPv4 in IPv6's clothes.
bool usable(const Address&);

struct Mx {
  std::uint16_t preference = 0;
  std::string host;  // empty: "." (RFC 7505)
};

/// RFC 6698 2.1, as far as mail uses it (RFC 7672).
struct Tlsa {
  std::uint8_t usage = 0, selector = 0, matching = 0;
  std::string data;
  bool operator==(const Tlsa&) const = default;
};

/// RFC 7672 3.1: usages 2 (DANE-TA) and 3 (DANE-EE), known selectors and digests of the right length.
bool usable(const Tlsa&);

/// `any`: labels of any octets but '.', for those who only compare names and ask again (SPF); `host`: see above.
enum class Labels { host, any };
std::optional<Mx> parse_mx(std::string_view rdata, Labels labels = Labels::host);
std::optional<Address> parse_address(Type, std::string_view rdata);  // of A or AAAA
std::optional<Tlsa> parse_tlsa(std::string_view rdata);
std::optional<std::string> parse_ptr(std::string_view rdata);  // labels of any octets
/// The strings of a TXT record joined, nothing between them (RFC 7208 3.3, RFC 6376 3.6.2.2). Any octets.
std::optional<std::string> parse_txt(std::string_view rdata);
/// "MX1.Example.NET." as libraries write names; nothing when it is none. "." is empty.
std::optional<std::string> parse_name(std::string_view text);

}  // namespace spoold::dns
