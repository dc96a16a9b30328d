// spoold from start to stop: opens the store, the listeners, the control socket and the lanes in the order in
// which they need each other, and takes them down again.
//
//   Daemon daemon(settings, "/etc/spoold/spoold.toml");
//   if (auto ready = daemon.open(); !ready) ...   // one sentence
//   return daemon.run();                          // exit status
//
// open(): becomes the [server] user for a moment, opens the store and reads the certificates, then, with the rights it was started
// with, binds ports and sockets, then drops these rights for good. run() starts the threads. Order of the stop:
// nothing new is accepted -> sessions, lanes and requests finish -> the store's writer commits and answers what
// it has, and ends -> the loops end, what waits in them is destroyed -> the rest is destroyed.
//
// Guarantees: event=ready is logged when mail is accepted. SIGTERM or SIGINT: no new connections, 421 to idle
// sessions, open transactions finish within [server] grace, everything that remotes have answered is settled,
// exit 0; a second signal ends the grace at once. The process ends 10 s after the grace at the latest
// (stop.hpp). Exit status 1, with the reason in the log: the store has stopped for good (a failed flush), a
// record cannot be read, or something did not end in time. event=stopped is the last line and names the status.
// See also: README.md (the flow of a message), stop.hpp, threads.hpp.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include <tl/expected.hpp>

#include "conf/settings.hpp"

namespace spoold::server {

class Daemon {
 public:
  /// `file`: where the settings stand.
  Daemon(conf::Settings settings, std::string file);
  ~Daemon();

  tl::expected<void, std::string> open();
  int run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spoold::server
