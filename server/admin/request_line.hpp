// The door's judgement of one line from the control socket, before anything else reads it. Pure.
//
// Guarantees: whatever the line holds, parse_request() takes bounded time, memory and stack: values are nested
// at most 16 deep (the copy of a JSON value is recursive) and at most 500,000 in number (as many as 1 MiB can
// hold). A line has at most 1 MiB; 64 MiB when it begins with the verb import or post, whose contents are files.
// Failures: one sentence for the answer. See also: control_socket.cpp, operator.hpp (the verbs).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "server/admin/json.hpp"

namespace spoold::server::admin {

inline constexpr std::size_t longest_line = 1 << 20, longest_line_with_file = 64 << 20;

/// The verb of a line of which the begin has arrived, when it is the first key, as spoolctl writes it; else
/// empty.
std::string_view verb_of(std::string_view line);

/// How long this line may become.
std::size_t longest(std::string_view line);

/// Answers at once: these wait for no commit.
bool only_reads(std::string_view line);

/// A line that is longer than longest().
std::string too_long(std::string_view line);

tl::expected<Json, std::string> parse_request(std::string_view line);

}  // namespace spoold::server::admin
