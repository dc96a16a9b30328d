// The brake of a list: a post that fails for good for more than X % of the first N recipients, all for one reason, is held, and the
// owners are told. So a post that providers refuse as spam does not spoil the reputation of the host with everybody else.
// What a reason is: the action of the table of replies (conf/replies.toml). Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "protocol/list/settings.hpp"

namespace spoold::list {

/// "5% of 200", or "off".
tl::expected<BrakeRules, std::string> read_brake(std::string_view text);
std::string print_brake(const BrakeRules&);

/// `before`: recipients with an outcome before the failures that are looked at now; `failed`: those that failed for this reason.
bool brakes(const BrakeRules&, std::uint64_t before, std::uint64_t failed);

}  // namespace spoold::list
