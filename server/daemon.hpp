// spoold from start to stop: opens the store, the listeners, the control socket and the lanes in the order in
// which they need each other, and takes them down again.
//
//   Daemon daemon(settings);
//   if (auto ready = daemon.open(); !ready) ...   // one sentence; binds ports, then drops privileges, then
//   opens the store return daemon.run();                          // exit status
//
// Guarantees: event=ready is logged when mail is accepted. SIGTERM or SIGINT: no new connections, 421 to idle
// sessions, open transactions finish within [server] grace, everything heard is settled, exit 0; a second one
// ends it at once, safely. A store that stops for good (a failed flush, a broken invariant) ends the daemon
// with exit status 1. See also: README.md (the flow of a message).
#pragma once
#include <functional>
#include <memory>
#include <string>

#include <tl/expected.hpp>

#include "conf/settings.hpp"

namespace spoold::server {

class Daemon {
 public:
  explicit Daemon(conf::Settings settings);
  ~Daemon();

  tl::expected<void, std::string> open();
  int run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spoold::server
