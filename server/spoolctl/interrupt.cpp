#include "server/spoolctl/interrupt.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

namespace spoold::server::admin {
namespace {

volatile std::sig_atomic_t came = 0;

extern "C" void note_signal(int signal) {
  came = signal;
}

[[noreturn]] void output_failed(int error) {
  unless_interrupted();
  if (error == EPIPE) throw Interrupted{SIGPIPE};
  throw std::runtime_error("standard output: " + std::string(std::strerror(error)));
}

}  // namespace

void watch_for_interrupts() {
  std::signal(SIGPIPE, SIG_IGN);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN) continue;  // nohup
    struct sigaction noted {};
    noted.sa_handler = note_signal;
    noted.sa_flags = static_cast<int>(SA_RESETHAND);  // no SA_RESTART: a wait for input or the daemon ends
    ::sigaction(signal, &noted, nullptr);
  }
}

void unless_interrupted() {
  if (const int signal = came) throw Interrupted{signal};
}

void end_by(const Interrupted& interrupted) {
  std::signal(interrupted.signal, SIG_DFL);
  ::raise(interrupted.signal);
  ::_exit(1);
}

void put(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) output_failed(errno);
}

void flush_output() {
  if (std::fflush(stdout) != 0) output_failed(errno);
}

}  // namespace spoold::server::admin
