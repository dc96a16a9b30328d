// The text forms of values in spoold.toml and on the command line: durations, sizes, rates, addresses. Pure
// functions; a failure is one sentence that says what is wrong. (Whole files: load.hpp.)
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "conf/settings.hpp"

namespace spoold::conf {

/// "5m", "10s", "1h" ...; "25MiB"; "smtp://host:port".
tl::expected<Duration, std::string> parse_duration(std::string_view);
tl::expected<std::uint64_t, std::string> parse_size(std::string_view);
tl::expected<Rate, std::string> parse_rate(std::string_view);  // "600/min"; s, min, h
tl::expected<NextHop, std::string> parse_next_hop(std::string_view);
tl::expected<Listen, std::string> parse_listen(std::string_view address);
tl::expected<Milter, std::string> parse_milter(std::string_view address);  // but for the other keys
tl::expected<Network, std::string> parse_network(std::string_view);
tl::expected<AddressRange, std::string> parse_address_range(std::string_view);
/// Does the network hold this address of its family? (IPv4: the first four octets.)
bool contains(const Network&, const std::array<std::uint8_t, 16>& address);
std::string duration_text(Duration);   // the shortest form that parses back
std::string size_text(std::uint64_t);  // the same of a size
std::string rate_text(const Rate&);

tl::expected<NameServer, std::string> parse_name_server(std::string_view address);

}  // namespace spoold::conf
