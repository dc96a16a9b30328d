#include "protocol/dns/records.hpp"

#include <algorithm>
#include <cstdio>

#include "conf/values.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::dns {
namespace {

constexpr std::size_t longest_name = 253, longest_label = 63, longest_tlsa = 4096;

std::uint8_t octet(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

bool add_label(std::string& name, std::string_view label, Labels labels) {
  if (label.empty() || label.size() > longest_label) return false;
  if (name.size() + label.size() + 1 > longest_name) return false;
  if (!name.empty()) name += '.';
  for (const char c : label) {
    const bool of_host = mail::is_alpha(c) || mail::is_digit(c) || c == '-' || c == '_';
    if (labels == Labels::host ? !of_host : c == '.') return false;
    name += mail::lower(c);
  }
  return true;
}

// RFC 1035 3.1, the whole of `wire`; compression is not possible outside of a message.
std::optional<std::string> wire_name(std::string_view wire, Labels labels) {
  std::string name;
  while (!wire.empty()) {
    const std::size_t size = octet(wire, 0);
    wire.remove_prefix(1);
    if (size == 0) return wire.empty() ? std::optional(name) : std::nullopt;
    if (size > wire.size() || !add_label(name, wire.substr(0, size), labels)) return std::nullopt;
    wire.remove_prefix(size);
  }
  return std::nullopt;
}

}  // namespace

const char* text(Type type) {
  switch (type) {
    case Type::a:
      return "A";
    case Type::cname:
      return "CNAME";
    case Type::ptr:
      return "PTR";
    case Type::mx:
      return "MX";
    case Type::txt:
      return "TXT";
    case Type::aaaa:
      return "AAAA";
    case Type::tlsa:
      return "TLSA";
  }
  return "?";
}

std::optional<Address> parse_ip(std::string_view written) {
  if (written.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) return std::nullopt;
  const auto network = conf::parse_network(written);
  if (!network) return std::nullopt;
  Address address;
  address.v6 = network->v6;
  address.octets = network->bytes;
  return address;
}

std::string text(const Address& address) {
  char out[sizeof "255.255.255.255:"];
  const auto& o = address.octets;
  if (!address.v6) {
    std::snprintf(out, sizeof out, "%d.%d.%d.%d", o[0], o[1], o[2], o[3]);
    return out;
  }
  if (const Address v4 = unmapped(address); !v4.v6) return "::ffff:" + text(v4);
  const auto group = [&o](std::size_t i) { return o[2 * i] << 8 | o[2 * i + 1]; };
  std::size_t gap = 8,
              longest = 1;  // the first of the longest runs of zeros, from two groups on (RFC 5952 4.2)
  for (std::size_t begin = 0; begin < 8; ++begin) {
    std::size_t length = 0;
    while (begin + length < 8 && group(begin + length) == 0) ++length;
    if (length > longest) gap = begin, longest = length;
  }
  std::string written;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == gap) {
      written += "::";
      i += longest - 1;
      continue;
    }
    if (!written.empty() && !written.ends_with(':')) written += ':';
    std::snprintf(out, sizeof out, "%x", group(i));
    written += out;
  }
  return written;
}

Address unmapped(const Address& address) {
  const auto& o = address.octets;
  const bool mapped = address.v6 && o[10] == 0xff && o[11] == 0xff &&
                      std::all_of(o.begin(), o.begin() + 10, [](std::uint8_t b) { return b == 0; });
  if (!mapped) return address;
  Address v4;
  std::copy(o.begin() + 12, o.end(), v4.octets.begin());
  return v4;
}

std::string reversed(const Address& address) {
  constexpr const char* digits = "0123456789abcdef";
  std::string name;
  for (std::size_t i = address.v6 ? 16 : 4; i-- > 0;) {
    const unsigned o = address.octets[i];
    if (!name.empty()) name += '.';
    if (address.v6)
      ((name += digits[o & 15]) += '.') += digits[o >> 4];
    else
      name += std::to_string(o);
  }
  return name;
}

std::string reverse_name(const Address& address) {
  return reversed(address) + (address.v6 ? ".ip6.arpa" : ".in-addr.arpa");
}

bool usable(const Tlsa& record) {
  if ((record.usage != 2 && record.usage != 3) || record.selector > 1) return false;
  switch (record.matching) {
    case 0:
      return !record.data.empty();
    case 1:
      return record.data.size() == 32;
    case 2:
      return record.data.size() == 64;
    default:
      return false;
  }
}

bool usable(const Address& address) {
  const auto& o = address.octets;
  if (!address.v6) return o[0] != 0 && o[0] < 224;
  if (o[0] == 0xff) return false;
  const bool begins_with_zeros =
      std::all_of(o.begin(), o.begin() + 10, [](std::uint8_t b) { return b == 0; });
  if (!begins_with_zeros) return true;
  const bool mapped = o[10] == 0xff && o[11] == 0xff;
  const bool unspecified = std::all_of(o.begin() + 10, o.end(), [](std::uint8_t b) { return b == 0; });
  return !mapped && !unspecified;
}

std::optional<Mx> parse_mx(std::string_view rdata, Labels labels) {
  if (rdata.size() < 3) return std::nullopt;
  auto host = wire_name(rdata.substr(2), labels);
  if (!host) return std::nullopt;
  return Mx{static_cast<std::uint16_t>(octet(rdata, 0) << 8 | octet(rdata, 1)), std::move(*host)};
}

std::optional<Address> parse_address(Type type, std::string_view rdata) {
  Address address;
  address.v6 = type == Type::aaaa;
  if (rdata.size() != (address.v6 ? 16u : 4u)) return std::nullopt;
  for (std::size_t i = 0; i < rdata.size(); ++i) address.octets[i] = octet(rdata, i);
  return address;
}

std::optional<Tlsa> parse_tlsa(std::string_view rdata) {
  if (rdata.size() < 4 || rdata.size() > longest_tlsa) return std::nullopt;
  return Tlsa{octet(rdata, 0), octet(rdata, 1), octet(rdata, 2), std::string(rdata.substr(3))};
}

std::optional<std::string> parse_ptr(std::string_view rdata) {
  return wire_name(rdata, Labels::any);
}

std::optional<std::string> parse_txt(std::string_view rdata) {
  if (rdata.empty()) return std::nullopt;
  std::string joined;
  while (!rdata.empty()) {
    const std::size_t size = octet(rdata, 0);
    rdata.remove_prefix(1);
    if (size > rdata.size()) return std::nullopt;
    joined += rdata.substr(0, size);
    rdata.remove_prefix(size);
  }
  return joined;
}

std::optional<std::string> parse_name(std::string_view written) {
  if (written.ends_with('.')) written.remove_suffix(1);
  std::string name;
  while (!written.empty()) {
    const auto dot = written.find('.');
    if (dot + 1 == written.size()) return std::nullopt;
    if (!add_label(name, written.substr(0, dot), Labels::host)) return std::nullopt;
    written.remove_prefix(dot == std::string_view::npos ? written.size() : dot + 1);
  }
  return name;
}

}  // namespace spoold::dns
