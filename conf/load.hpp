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
  std::string
      what;  // what is wrong, what is expected, and a near miss: "unknown key 'retyr'; did you mean 'retry'?"
  std::string text() const;  // FILE:LINE:COLUMN: what
};

/// Reads a file. Every problem of the file is in the answer, in line order.
tl::expected<Settings, std::vector<Problem>> load(const std::string& path);
/// The same for text already read; `name` stands for the file in problems. Relative paths become relative to
/// its folder. (hostname stays empty when it is not written; load() puts the machine's name there.)
tl::expected<Settings, std::vector<Problem>> parse(std::string_view toml, const std::string& name);
/// Every key with its default and one line of meaning, as a TOML file that loads (spoold --defaults).
std::string defaults();

/// What an operator should see before a start, one line each, "warning: ..." or "note: ...": who may relay,
/// open relays, overrides that match nothing. Nothing of it stops the daemon.
std::vector<std::string> review(const Settings&);

/// "5m", "10s", "1h" ...; "25MiB"; "smtp://host:port".
tl::expected<Duration, std::string> parse_duration(std::string_view);
tl::expected<std::uint64_t, std::string> parse_size(std::string_view);
tl::expected<Rate, std::string> parse_rate(std::string_view);  // "600/min"; s, min, h
tl::expected<NextHop, std::string> parse_next_hop(std::string_view);
tl::expected<Listen, std::string> parse_listen(std::string_view address);
tl::expected<Network, std::string> parse_network(std::string_view);
std::string duration_text(Duration);   // the shortest form that parses back
std::string size_text(std::uint64_t);  // the same of a size
std::string rate_text(const Rate&);

/// The route of a recipient's domain: the canonical URL of a [[domain]] deliver_to, else "relay".
std::string route_of(const Settings&, std::string_view domain);
/// The next hop of a route (route_of's answer), empty when there is none any more.
std::optional<NextHop> next_hop_of(const Settings&, std::string_view route);

}  // namespace spoold::conf
