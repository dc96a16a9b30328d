// A password from whoever runs spoolctl: asked for twice without echo on a terminal, else the first line of standard input or
// of a file. Never from the command line, which every process of the machine can read. Failures: Usage, in one sentence; an
// interrupt, after the terminal is as it was.
#pragma once
#include <string>

namespace spoold::server::admin {

/// `file` empty: standard input. `whose`: for the prompt.
std::string read_password(const std::string& file, const std::string& whose);

}  // namespace spoold::server::admin
