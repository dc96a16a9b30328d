// What systemd is told, and what it has prepared, without its library: sd_notify(3) and sd_listen_fds(3).
//
// Guarantees: without $NOTIFY_SOCKET nothing is sent; a message that cannot be sent is dropped, never waited for. Sockets that
// were passed are non-blocking, and not passed on to other programs. Any thread, but for the construction (the
// environment is read then).
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace spoold::server {

class ServiceNotifier {
 public:
  ServiceNotifier();

  void ready() const;
  void reloading() const;  // ready() follows (Type=notify-reload)
  void stopping() const;
  void alive() const;
  /// How often alive() must come (WatchdogSec=); absent: it need not.
  std::optional<std::chrono::microseconds> watchdog() const { return watchdog_; }
  /// Sockets that listen already (socket activation). The caller's, once.
  std::vector<int> take_sockets() { return std::move(sockets_); }

 private:
  void send(const std::string& text) const;

  std::string path_;  // "@...": an abstract one
  std::optional<std::chrono::microseconds> watchdog_;
  std::vector<int> sockets_;
};

}  // namespace spoold::server
