// How spoolctl ends early: SIGINT, SIGTERM and SIGHUP set a flag, which is asked between pages and while it waits
// for the daemon, never inside a Read; a standard output whose reader went away is the same as SIGPIPE. So every
// Read and the store are closed in order, and no reader slot stays behind that pins pages of a running daemon.
// A second signal of the same kind ends the process at once. In the daemon nothing sets the flag.
#pragma once
#include <string_view>

namespace spoold::server::admin {

/// Thrown to end spoolctl; not an error of what it did.
struct Interrupted {
  int signal;
};

/// Installs the handlers; spoolctl's main() only.
void watch_for_interrupts();
/// Throws Interrupted when a signal came. Not inside a Read.
void unless_interrupted();
/// After everything was closed: ends the process by the signal, so that its parent sees what it expects.
[[noreturn]] void end_by(const Interrupted&);

/// Writes to standard output. Throws Interrupted when its reader is gone, std::runtime_error when it is full.
void put(std::string_view text);
/// What put() may have left in the buffer; the same failures.
void flush_output();

}  // namespace spoold::server::admin
