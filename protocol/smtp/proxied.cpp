#include "protocol/smtp/proxied.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "conf/values.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::smtp {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view signature = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t fixed = 16, addresses_v4 = 12, addresses_v6 = 36;

std::size_t octet(std::string_view octets, std::size_t at) {
  return static_cast<unsigned char>(octets[at]);
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  return port;
}

using Address = ProxiedClient::Address;

Address unmapped(const Address& address) {
  const auto& o = address.octets;
  const bool mapped = address.v6 && o[10] == 0xff && o[11] == 0xff &&
                      std::all_of(o.begin(), o.begin() + 10, [](std::uint8_t octet) { return octet == 0; });
  if (!mapped) return address;
  return {false, {o[12], o[13], o[14], o[15]}};
}

std::optional<Address> address_of(std::string_view text, bool v6) {
  if (text.find_first_not_of("0123456789abcdefABCDEF:.") != text.npos) return std::nullopt;
  const auto network = conf::parse_network(text);
  if (!network || network->v6 != v6) return std::nullopt;
  return unmapped({v6, network->bytes});
}

/// RFC 3461 4: "+3D" stands for "=".
std::optional<std::string> from_xtext(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '+') {
      if (text[i] <= ' ' || text[i] > '~') return std::nullopt;
      out += text[i];
      continue;
    }
    unsigned char value = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2) return std::nullopt;
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

}  // namespace

bool ProxyHeader::bad(const char* fault) {
  state_ = State::bad;
  fault_ = fault;
  return false;
}

std::size_t ProxyHeader::feed(std::string_view octets) {
  if (state_ != State::more || octets.empty()) return 0;
  const char first = kept_.empty() ? octets.front() : kept_.front();
  if (first == 'P') return line(octets);
  if (first == signature.front()) return binary(octets);
  bad("it does not begin with a PROXY header");
  return 0;
}

std::size_t ProxyHeader::line(std::string_view octets) {
  const std::size_t end = octets.find('\n');
  const std::size_t taken = std::min(end == octets.npos ? octets.size() : end + 1, most_line - kept_.size());
  kept_ += octets.substr(0, taken);
  constexpr std::string_view word = "PROXY ";
  if (!kept_.starts_with(word.substr(0, kept_.size())))
    bad("it does not begin with a PROXY header");
  else if (kept_.ends_with('\n'))
    read_line();
  else if (kept_.size() == most_line)
    bad("a PROXY header of version 1 has at most 107 octets");
  return taken;
}

// "PROXY TCP4 192.0.2.1 198.51.100.1 40000 25": words with one space between them.
void ProxyHeader::read_line() {
  std::string_view text = kept_;
  if (!text.ends_with("\r\n")) {
    bad("a PROXY header of version 1 ends with <CR><LF>");
    return;
  }
  text.remove_suffix(2);
  std::array<std::string_view, 6> words;
  std::size_t count = 0;
  for (; count < words.size(); ++count) {
    const std::size_t end = std::min(text.find(' '), text.size());
    words.at(count) = text.substr(0, end);
    if (end == text.size()) {
      text = {};
      ++count;
      break;
    }
    text.remove_prefix(end + 1);
    if (count + 1 == words.size()) count = words.size() + 1;  // one more word
  }
  if (words[1] == "UNKNOWN") {  // what follows it means nothing
    state_ = State::done;
    return;
  }
  const bool v6 = words[1] == "TCP6";
  if (count != words.size() || (!v6 && words[1] != "TCP4")) {
    bad("a PROXY header of version 1 is 'PROXY TCP4 SOURCE DESTINATION PORT PORT'");
    return;
  }
  const auto source = address_of(words[2], v6), destination = address_of(words[3], v6);
  const auto from = port_of(words[4]), to = port_of(words[5]);
  if (!source || !destination || !from || !to) {
    bad("an address or a port of the PROXY header is none");
    return;
  }
  client_ = {source, *from};
  state_ = State::done;
}

std::size_t ProxyHeader::binary(std::string_view octets) {
  std::size_t taken = 0;
  // The fixed part, then the addresses; what is behind these (TLVs) is only counted.
  while (taken < octets.size() && state_ == State::more) {
    const std::size_t wanted = size_ == 0 ? fixed : std::min(size_, fixed + addresses_v6);
    if (kept_.size() < wanted) {
      const std::size_t now = std::min(wanted - kept_.size(), octets.size() - taken);
      kept_ += octets.substr(taken, now);
      taken += now;
      seen_ += now;
      if (!kept_.starts_with(signature.substr(0, std::min(kept_.size(), signature.size())))) {
        bad("it does not begin with a PROXY header");
        return taken;
      }
      if (size_ == 0 && kept_.size() == fixed) {
        size_ = fixed + (octet(kept_, 14) << 8 | octet(kept_, 15));
        if (octet(kept_, 12) >> 4 != 2 || (octet(kept_, 12) & 15) > 1)
          bad("the version of the PROXY header, or its command, is not known");
        else if (size_ > most_octets)
          bad("a PROXY header of version 2 has at most 4096 octets here");
      }
    } else {
      const std::size_t now = std::min(size_ - seen_, octets.size() - taken);
      taken += now;
      seen_ += now;
    }
    if (state_ == State::more && size_ != 0 && seen_ == size_) read_binary();
  }
  return taken;
}

void ProxyHeader::read_binary() {
  const bool local = (octet(kept_, 12) & 15) == 0;
  const std::size_t family = octet(kept_, 13);
  const std::size_t length = size_ - fixed;
  if (local || family == 0x00 || family == 0x31) {  // LOCAL; an unspecified family; unix sockets
    state_ = State::done;
    return;
  }
  const bool v6 = family == 0x21;
  if (!v6 && family != 0x11) {
    bad("the PROXY header is not about a TCP connection");
    return;
  }
  if (length < (v6 ? addresses_v6 : addresses_v4)) {
    bad("the PROXY header is shorter than its addresses");
    return;
  }
  Address address;
  address.v6 = v6;
  const std::size_t size = v6 ? 16 : 4;
  for (std::size_t i = 0; i < size; ++i)
    address.octets.at(i) = static_cast<std::uint8_t>(octet(kept_, fixed + i));
  const std::size_t port = fixed + 2 * size;
  client_ = {unmapped(address), static_cast<std::uint16_t>(octet(kept_, port) << 8 | octet(kept_, port + 1))};
  state_ = State::done;
}

tl::expected<ProxiedClient, Reply> parse_xclient(std::string_view argument) {
  const auto syntax = [](std::string text) {
    return tl::unexpected<Reply>(Reply{501, {5, 5, 4}, "XCLIENT: " + std::move(text)});
  };
  constexpr std::array<std::string_view, 8> names{"NAME", "ADDR",  "PORT",     "PROTO",
                                                  "HELO", "LOGIN", "DESTADDR", "DESTPORT"};
  ProxiedClient client;
  bool any = false;
  for (argument = mail::trim(argument); !argument.empty(); argument = mail::trim(argument)) {
    const std::size_t end = std::min(argument.find_first_of(" \t"), argument.size());
    const std::string_view word = argument.substr(0, end);
    argument.remove_prefix(end);
    const std::size_t equals = word.find('=');
    if (equals == word.npos) return syntax("an attribute is NAME=VALUE");
    const std::string_view name = word.substr(0, equals);
    const auto value = from_xtext(word.substr(equals + 1));
    if (!value) return syntax("a value is not xtext");
    if (std::ranges::none_of(names, [&](std::string_view one) { return mail::same(one, name); }))
      return syntax("an attribute is not known");
    any = true;
    if (mail::same(*value, "[UNAVAILABLE]") || mail::same(*value, "[TEMPUNAVAIL]")) continue;
    if (mail::same(name, "ADDR")) {
      const bool v6 = mail::starts_with(*value, "IPV6:");
      client.address = address_of(std::string_view(*value).substr(v6 ? 5 : 0), v6);
      if (!client.address) return syntax("ADDR is no address");
    } else if (mail::same(name, "PORT")) {
      const auto port = port_of(*value);
      if (!port) return syntax("PORT is no port");
      client.port = *port;
    } else if (mail::same(name, "LOGIN") && !value->empty()) {
      return tl::unexpected<Reply>(Reply{550, {5, 7, 0}, "XCLIENT: a LOGIN is not taken; users log in here"});
    }
  }
  if (!any) return syntax("no attributes");
  return client;
}

}  // namespace spoold::smtp
