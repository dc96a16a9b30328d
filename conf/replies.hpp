// Reading the table of replies: conf/replies.toml, which is built into the programs, or a file of the same form that an
// operator writes. All errors at once, each FILE:LINE:COLUMN.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "conf/load.hpp"
#include "conf/reply_rule.hpp"

namespace spoold::conf {

/// The rows of conf/replies.toml, in order.
const std::vector<ReplyRule>& built_in_replies();
/// `name` stands for the file in problems.
tl::expected<std::vector<ReplyRule>, std::vector<Problem>> parse_replies(std::string_view toml,
                                                                         const std::string& name);
tl::expected<std::vector<ReplyRule>, std::vector<Problem>> load_replies(const std::string& path);

}  // namespace spoold::conf
