// Loading and checking spoold.toml (toml++): all errors at once, each FILE:LINE:COLUMN.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "conf/settings.hpp"

namespace spoold::conf {

struct Problem {
  std::string file;
  unsigned line = 0, column = 0;
  std::string what;       // what is wrong, what is expected, and a near miss: "unknown key 'retyr'; did you mean 'retry'?"
  std::string text() const;  // FILE:LINE:COLUMN: what
};

/// Reads a file. Every problem of the file is in the answer, in line order.
tl::expected<Settings, std::vector<Problem>> load(const std::string& path);
/// The same for text already read; `name` stands for the file in problems.
tl::expected<Settings, std::vector<Problem>> parse(std::string_view toml, const std::string& name);
/// Every key with its default and one line of meaning, as a TOML file that loads (spoold --defaults).
std::string defaults();

/// "5m", "10s", "1h" ...; "25MiB"; "smtp://host:port".
tl::expected<Duration, std::string> parse_duration(std::string_view);
tl::expected<std::uint64_t, std::string> parse_size(std::string_view);
tl::expected<NextHop, std::string> parse_next_hop(std::string_view);
tl::expected<Listen, std::string> parse_listen(std::string_view address);
tl::expected<Network, std::string> parse_network(std::string_view);
std::string duration_text(Duration);  // the shortest form that parses back

/// The route of a recipient's domain: the canonical URL of a [[domain]] deliver_to, else "relay".
std::string route_of(const Settings&, std::string_view domain);
/// The next hop of a route (route_of's answer), empty when there is none any more.
std::optional<NextHop> next_hop_of(const Settings&, std::string_view route);

}  // namespace spoold::conf
