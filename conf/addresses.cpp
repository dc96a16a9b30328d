#include "conf/addresses.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "conf/load.hpp"

namespace spoold::conf {

namespace {

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
std::string quoted(std::string_view text) {
  return "'" + std::string(text) + "'";
}

// sockaddr_un::sun_path holds 108 octets with its end mark.
std::string unix_path_fault(std::string_view path) {
  if (path.empty() || path.front() != '/') return "the path of a unix socket begins with '/'";
  if (path.size() > 107) return "the path of a unix socket has at most 107 octets";
  return {};
}

struct HostPort {
  std::string_view host;
  std::optional<std::string_view> port;
  bool bracketed = false;
};

tl::expected<HostPort, std::string> split_host_port(std::string_view text) {
  HostPort out;
  std::string_view rest;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return tl::unexpected(std::string("']' is missing"));
    out.bracketed = true;
    out.host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
  } else {
    const auto colon = text.find(':');
    out.host = text.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
    if (rest.find(':', 1) != std::string_view::npos)
      return tl::unexpected(std::string("an IPv6 address is written in brackets: [2001:db8::1]:25"));
  }
  if (rest.empty()) return out;
  if (rest.front() != ':') return tl::unexpected("unexpected " + quoted(rest) + " after the host");
  out.port = rest.substr(1);
  return out;
}

tl::expected<std::uint16_t, std::string> port_number(std::string_view text) {
  std::uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || text.empty())
    return tl::unexpected(quoted(text) + " is not a port number (0 to 65535)");
  return port;
}

char small(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), small);
  return out;
}

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return small(x) == small(y); });
}

bool is_domain(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  bool digits_only = true;
  for (std::size_t at = 0; at <= text.size();) {
    const auto dot = std::min(text.find('.', at), text.size());
    const auto label = text.substr(at, dot - at);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(), [](char c) { return is_alnum(c) || c == '-'; }))
      return false;
    digits_only = std::all_of(label.begin(), label.end(), is_digit);
    at = dot + 1;
  }
  return !digits_only;  // 192.0.2.1 is an address, 192.0.2.300 is nothing
}

std::string canonical_address(std::string_view text) {
  const std::string source(text);
  in_addr four{};
  in6_addr six{};
  char shown[INET6_ADDRSTRLEN];
  if (inet_pton(AF_INET, source.c_str(), &four) == 1) return inet_ntop(AF_INET, &four, shown, sizeof shown);
  if (inet_pton(AF_INET6, source.c_str(), &six) == 1) return inet_ntop(AF_INET6, &six, shown, sizeof shown);
  return {};
}

std::string match_fault(std::string_view text) {
  if (!canonical_address(text).empty()) return {};
  if (text.find('/') != std::string_view::npos) {
    const auto network = parse_network(text);
    return network ? std::string() : network.error();
  }
  const bool mx = lower(text.substr(0, 3)) == "mx:";
  const auto pattern = mx ? text.substr(3) : text;
  const auto known = [](char c) { return is_alnum(c) || c == '-' || c == '.' || c == '*'; };
  if (mx && !pattern.empty() && std::all_of(pattern.begin(), pattern.end(), known)) return {};
  if (!mx && is_domain(pattern)) return {};
  return quoted(text) +
         " matches no destination: expected a domain, a next hop's host, \"mx:*.example.net\" for MX hosts, "
         "or a "
         "network such as \"192.0.2.0/24\"";
}

std::string address_fault(std::string_view text) {
  const auto at = text.rfind('@');
  if (at == std::string_view::npos) return quoted(text) + " is not a mail address: '@' is missing";
  const auto local = text.substr(0, at), domain = text.substr(at + 1);
  if (local.empty() || local.size() > 64)
    return quoted(text) + " is not a mail address: the part before '@' has 1 to 64 octets";
  const bool quoted_local = local.size() > 2 && local.front() == '"' && local.back() == '"';
  for (const char c : local) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (control || (!quoted_local && std::string_view(" <>()[]\\,;:@\"").find(c) != std::string_view::npos))
      return quoted(text) + " is not a mail address: unexpected character before '@'";
  }
  if (!is_domain(domain))
    return quoted(text) + " is not a mail address: " + quoted(domain) + " is not a domain";
  return {};
}

tl::expected<NextHop, std::string> parse_next_hop(std::string_view text) {
  const std::string expected =
      "expected smtp://host[:port], smtps://host[:port], lmtp://host[:port], smtp+unix:/path or "
      "lmtp+unix:/path";
  NextHop hop;
  const auto colon = text.find(':');
  const auto scheme = lower(text.substr(0, colon));
  if (colon == std::string_view::npos)
    return tl::unexpected(quoted(text) + " is not a next hop: " + expected);
  std::string_view rest = text.substr(colon + 1);
  if (scheme != "smtp" && scheme != "smtps" && scheme != "lmtp" && scheme != "smtp+unix" &&
      scheme != "lmtp+unix")
    return tl::unexpected(quoted(text) + " is not a next hop: " + expected);
  hop.protocol = scheme.starts_with("lmtp") ? NextHop::Protocol::lmtp : NextHop::Protocol::smtp;
  if (scheme.ends_with("+unix")) {
    if (const auto fault = unix_path_fault(rest); !fault.empty())
      return tl::unexpected(quoted(text) + ": " + fault);
    hop.port = 0;
    hop.path = rest;
    hop.text = scheme + ":" + hop.path;
    return hop;
  }
  if (!rest.starts_with("//")) return tl::unexpected(quoted(text) + " is not a next hop: " + expected);
  rest.remove_prefix(2);
  const auto parts = split_host_port(rest);
  if (!parts) return tl::unexpected(quoted(text) + " is not a next hop: " + parts.error());
  hop.implicit_tls = scheme == "smtps";
  hop.port = hop.implicit_tls ? 465 : hop.protocol == NextHop::Protocol::lmtp ? 24 : 25;
  if (parts->port) {
    const auto port = port_number(*parts->port);
    if (!port) return tl::unexpected(quoted(text) + ": " + port.error());
    if (*port == 0) return tl::unexpected(quoted(text) + ": port 0 cannot be connected to");
    hop.port = *port;
  }
  hop.host = canonical_address(parts->host);
  const bool six = hop.host.find(':') != std::string::npos;
  if (parts->bracketed ? !six : (hop.host.empty() && !is_domain(parts->host)))
    return tl::unexpected(quoted(text) + ": " + quoted(parts->host) +
                          " is neither a host name nor an IP address");
  if (hop.host.empty()) hop.host = lower(parts->host);
  hop.text = scheme + "://" + (six ? "[" + hop.host + "]" : hop.host) + ":" + std::to_string(hop.port);
  return hop;
}

bool is_local(const NextHop& hop) {
  if (!hop.path.empty() || hop.host == "localhost" || hop.host == "::1") return true;
  return hop.host.starts_with("127.") && !canonical_address(hop.host).empty();
}

tl::expected<Listen, std::string> parse_listen(std::string_view text) {
  Listen listen;
  listen.text = text;
  if (text.starts_with("unix:")) {
    listen.path = text.substr(5);
    if (const auto fault = unix_path_fault(listen.path); !fault.empty())
      return tl::unexpected(quoted(text) + ": " + fault);
    return listen;
  }
  const auto parts = split_host_port(text);
  if (!parts) return tl::unexpected(quoted(text) + " is not an address to listen on: " + parts.error());
  if (!parts->port)
    return tl::unexpected(quoted(text) +
                          " has no port: expected \"0.0.0.0:25\", \"[::]:25\" or \"unix:/path\"");
  const auto port = port_number(*parts->port);
  if (!port) return tl::unexpected(quoted(text) + ": " + port.error());
  listen.port = *port;
  listen.host = canonical_address(parts->host);
  if (listen.host.empty() || parts->bracketed != (listen.host.find(':') != std::string::npos))
    return tl::unexpected(
        quoted(text) + ": " + quoted(parts->host) +
        " is not an IP address of this machine; expected \"0.0.0.0:25\", \"[::]:25\" or \"unix:/path\"");
  return listen;
}

tl::expected<Milter, std::string> parse_milter(std::string_view text) {
  const auto address = parse_listen(text);
  if (!address && text.starts_with("unix:")) return tl::unexpected(address.error());
  if (!address || (address->path.empty() && address->port == 0))
    return tl::unexpected(quoted(text) +
                          " is not the address of a filter: expected \"127.0.0.1:11332\", "
                          "\"[::1]:11332\" or \"unix:/path\"");
  Milter milter;
  milter.host = address->host;
  milter.port = address->port;
  milter.path = address->path;
  milter.text = address->text;
  return milter;
}

bool contains(const Network& network, const std::array<std::uint8_t, 16>& address) {
  for (int bit = 0; bit < network.bits; bit += 8) {
    const int rest = network.bits - bit;
    const auto mask = static_cast<std::uint8_t>(rest >= 8 ? 0xff : 0xff << (8 - rest));
    const auto at = static_cast<std::size_t>(bit / 8);
    if ((address[at] ^ network.bytes[at]) & mask) return false;
  }
  return true;
}

tl::expected<NameServer, std::string> parse_name_server(std::string_view text) {
  const std::string expected =
      ": expected an address and a port, such as \"192.0.2.1:53\" or \"[2001:db8::1]:53\"";
  NameServer server;
  const auto parts = split_host_port(text);
  if (!parts) return tl::unexpected(quoted(text) + " is not a name server" + expected);
  server.host = canonical_address(parts->host);
  const bool six = server.host.find(':') != std::string::npos;
  if (server.host.empty() || parts->bracketed != six)
    return tl::unexpected(quoted(text) + " is not a name server" + expected);
  if (parts->port) {
    const auto port = port_number(*parts->port);
    if (!port || *port == 0) return tl::unexpected(quoted(text) + expected);
    server.port = *port;
  }
  server.text = (six ? "[" + server.host + "]" : server.host) + ":" + std::to_string(server.port);
  return server;
}

tl::expected<AddressRange, std::string> parse_address_range(std::string_view text) {
  AddressRange range;
  range.text = text;
  const auto dash = text.find('-');
  const auto read = [](std::string_view word, std::array<std::uint8_t, 4>& octets) {
    const std::string address(word);
    return address.find('\0') == std::string::npos && inet_pton(AF_INET, address.c_str(), octets.data()) == 1;
  };
  if (!read(text.substr(0, dash), range.first) ||
      !read(dash == std::string_view::npos ? text : text.substr(dash + 1), range.last) ||
      range.last < range.first)
    return tl::unexpected(quoted(text) +
                          " is not a range of addresses: expected \"127.0.0.2-127.0.0.11\" or one address");
  return range;
}

tl::expected<Network, std::string> parse_network(std::string_view text) {
  Network network;
  network.text = text;
  if (text == "unix") {
    network.unix_socket = true;
    return network;
  }
  const std::string expected =
      " is not a network: expected \"192.0.2.0/24\", \"2001:db8::/32\", one address or \"unix\"";
  const auto slash = text.find('/');
  const std::string address(text.substr(0, slash));
  if (inet_pton(AF_INET, address.c_str(), network.bytes.data()) == 1)
    network.bits = 32;
  else if (inet_pton(AF_INET6, address.c_str(), network.bytes.data()) == 1)
    network.v6 = true, network.bits = 128;
  else
    return tl::unexpected(quoted(text) + expected);
  if (slash == std::string_view::npos) return network;
  const auto length = text.substr(slash + 1);
  int bits = -1;
  auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
  if (error != std::errc() || end != length.data() + length.size() || bits < 0 || bits > network.bits)
    return tl::unexpected(quoted(text) + ": the prefix length is 0 to " + std::to_string(network.bits));
  network.bits = bits;
  for (int bit = bits; bit < (network.v6 ? 128 : 32); ++bit)
    if (network.bytes[static_cast<std::size_t>(bit / 8)] & (0x80 >> (bit % 8)))
      return tl::unexpected(quoted(text) +
                            " has bits behind its prefix length: 192.0.2.7/24 is written 192.0.2.0/24");
  return network;
}

}  // namespace spoold::conf
