#include "server/service_manager.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <ctime>

namespace spoold::server {
namespace {

constexpr int first_socket = 3, most_sockets = 1000;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// -1: it is no number.
long long number(const std::string& text) {
  if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != text.npos) return -1;
  return std::stoll(text);
}

}  // namespace

ServiceNotifier::ServiceNotifier() : path_(variable("NOTIFY_SOCKET")) {
  if (path_.size() >= sizeof(sockaddr_un::sun_path) || (!path_.starts_with('/') && !path_.starts_with('@')))
    path_.clear();
  const std::string for_whom = variable("WATCHDOG_PID");
  const long long time = number(variable("WATCHDOG_USEC"));
  if (time > 0 && (for_whom.empty() || number(for_whom) == ::getpid())) watchdog_.emplace(time);
  const long long passed = number(variable("LISTEN_FDS"));
  if (number(variable("LISTEN_PID")) != ::getpid() || passed > most_sockets) return;
  for (int fd = first_socket; fd < first_socket + passed; ++fd) {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    sockets_.push_back(fd);
  }
}

void ServiceNotifier::ready() const {
  send("READY=1");
}

// The time tells systemd which of several reloads this one is.
void ServiceNotifier::reloading() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.tv_sec * 1000000LL + now.tv_nsec / 1000));
}

void ServiceNotifier::stopping() const {
  send("STOPPING=1");
}

void ServiceNotifier::alive() const {
  send("WATCHDOG=1");
}

void ServiceNotifier::send(const std::string& text) const {
  if (path_.empty()) return;
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  path_.copy(to.sun_path, sizeof to.sun_path - 1);
  if (path_.front() == '@') to.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
  ::sendto(fd, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), size);
  ::close(fd);
}

}  // namespace spoold::server
