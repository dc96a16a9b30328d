#include "protocol/dns/records.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"

namespace spoold::dns {
namespace {

constexpr std::size_t longest_name = 253, longest_label = 63, longest_tlsa = 4096;

std::uint8_t octet(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

bool add_label(std::string& name, std::string_view label) {
  if (label.empty() || label.size() > longest_label) return false;
  if (name.size() + label.size() + 1 > longest_name) return false;
  if (!name.empty()) name += '.';
  for (const char c : label) {
    if (!mail::is_alpha(c) && !mail::is_digit(c) && c != '-' && c != '_') return false;
    name += mail::lower(c);
  }
  return true;
}

// RFC 1035 3.1, the whole of `wire`; compression is not possible outside of a message.
std::optional<std::string> wire_name(std::string_view wire) {
  std::string name;
  while (!wire.empty()) {
    const std::size_t size = octet(wire, 0);
    wire.remove_prefix(1);
    if (size == 0) return wire.empty() ? std::optional(name) : std::nullopt;
    if (size > wire.size() || !add_label(name, wire.substr(0, size))) return std::nullopt;
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
    case Type::mx:
      return "MX";
    case Type::aaaa:
      return "AAAA";
    case Type::tlsa:
      return "TLSA";
  }
  return "?";
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

std::optional<Mx> parse_mx(std::string_view rdata) {
  if (rdata.size() < 3) return std::nullopt;
  auto host = wire_name(rdata.substr(2));
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

std::optional<std::string> parse_name(std::string_view written) {
  if (written.ends_with('.')) written.remove_suffix(1);
  std::string name;
  while (!written.empty()) {
    const auto dot = written.find('.');
    if (dot + 1 == written.size()) return std::nullopt;
    if (!add_label(name, written.substr(0, dot))) return std::nullopt;
    written.remove_prefix(dot == std::string_view::npos ? written.size() : dot + 1);
  }
  return name;
}

}  // namespace spoold::dns
