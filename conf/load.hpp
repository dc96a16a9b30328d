// Loading and checking spoold.toml (toml++): all errors at once, each FILE:LINE:COLUMN.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "conf/settings.hpp"
#include "conf/values.hpp"

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

/// What the process that starts the daemon has.
struct Start {
  bool root = false, user_exists = true;  // the user: [server] user
  std::uint64_t descriptors = ~std::uint64_t{0};
};
/// What an operator should see before a start, one line each, "warning: ..." or "note: ...": who may relay,
/// open relays, overrides that match nothing, limits of the machine. Nothing of it stops the daemon.
std::vector<std::string> review(const Settings&, const Start& = {});

/// For a process that runs: what `running` has and only a start can change stays in `next` (ports, the user, the
/// store, ...). What the file says otherwise is named, one entry each: "[spool]".
std::vector<std::string> keep_fixed(Settings& next, const Settings& running);

/// The route of a recipient's domain (lower-case A-labels, or an address literal in brackets): the canonical
/// URLs of its [[domain]] deliver_to with ',' between them; else "relay", where there is a smarthost; else
/// the domain itself: by MX. At most 255 octets.
std::string route_of(const Settings&, std::string_view domain);
/// On a unix socket or a loopback address: what is said there is not heard on a network.
bool is_local(const NextHop&);
/// The route's name of configured next hops: their canonical texts with "," between them.
std::string route_to(const std::vector<NextHop>&);
/// The next hops of a route (route_of's answer) in order of preference; none: by MX, or no route any more.
std::vector<NextHop> next_hops_of(const Settings&, std::string_view route);
/// Would the settings of now give this route to a domain?
bool is_route(const Settings&, std::string_view route);
/// How a route is shown: its next hops' URLs, or the domain.
std::string route_text(const Settings&, std::string_view route);

}  // namespace spoold::conf
