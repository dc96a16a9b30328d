// The table of large providers: who runs which MX hosts, and what they take at a time. conf/providers.toml is built into the
// programs; the rows of `[delivery] providers`, a file of the same form, are asked first. All errors at once, each
// FILE:LINE:COLUMN. Which provider a route belongs to: protocol/delivery/destination.hpp.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace spoold::conf {

struct Problem;

struct Provider {
  std::string name;               // of the group of its routes
  std::vector<std::string> mx;    // patterns of its MX hosts, in lower case
  std::uint32_t connections = 0;  // at a time, to all its domains together; 0: connections_per_destination
  std::uint32_t messages = 0;     // transactions of one connection until a limit is learned; 0: any number
};

/// The rows of conf/providers.toml, in order.
const std::vector<Provider>& built_in_providers();
/// `name` stands for the file in problems.
tl::expected<std::vector<Provider>, std::vector<Problem>> parse_providers(std::string_view toml,
                                                                          const std::string& name);
tl::expected<std::vector<Provider>, std::vector<Problem>> load_providers(const std::string& path);

}  // namespace spoold::conf
