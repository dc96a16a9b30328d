// What the fuzzer and the replay of its corpus run: any octets as a PROXY header, in pieces, and as the argument of XCLIENT.
// Pieces give the same as the whole; no octet behind the header is taken; it ends within its bound.
#pragma once
#include <algorithm>
#include <string_view>

#include "protocol/smtp/proxied.hpp"
#include "tests/fuzz/input.hpp"

namespace spoold::tests {

/// The first octet is the size of the pieces.
inline void fuzz_proxied(std::string_view data) {
  using State = smtp::ProxyHeader::State;
  if (data.empty()) return;
  const std::size_t piece = 1 + static_cast<unsigned char>(data[0]);
  data.remove_prefix(1);
  smtp::ProxyHeader whole, pieces;
  const std::size_t taken = whole.feed(data);
  must(taken <= std::min(data.size(), smtp::ProxyHeader::most_octets));
  must(whole.state() != State::more || taken == data.size());
  std::size_t at = 0;
  while (at < data.size() && pieces.state() == State::more) {
    const std::size_t now = pieces.feed(data.substr(at, piece));
    must(now > 0 || pieces.state() == State::bad);
    at += now;
  }
  must(pieces.state() == whole.state());
  if (whole.state() == State::done) {
    must(at == taken && pieces.client().address == whole.client().address);
    must(pieces.client().port == whole.client().port);
    must(!data.starts_with("PROXY") || (taken <= smtp::ProxyHeader::most_line && data[taken - 1] == '\n'));
  }
  const auto client = smtp::parse_xclient(data);
  must(client.has_value() || client.error().code >= 500);
}

}  // namespace spoold::tests
