// The mail that verbs such as judge read from standard input.
#pragma once
#include <string>

namespace spoold::server::admin {

/// Standard input, with CRLF at the end of each line as the wire has it: files have LF. A "From " line of an mbox before the
/// header is left out. Throws std::runtime_error when it has more than 128 MiB, Interrupted when a signal cut it short.
std::string mail_from_input();

}  // namespace spoold::server::admin
