#include "server/spoolctl/control_client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "server/spoolctl/interrupt.hpp"

namespace spoold::server::admin {

namespace {

using Clock = std::chrono::steady_clock;
using Kind = ControlClient::Failure::Kind;

tl::unexpected<ControlClient::Failure> fail(Kind kind, std::string text) {
  return tl::unexpected(ControlClient::Failure{kind, std::move(text)});
}

/// Waits until the socket is ready for `events`; false: the time is over. A signal ends spoolctl here: the daemon
/// goes on with what it was asked.
bool ready(int socket, short events, Clock::time_point until) {
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd one{socket, events, 0};
    const int count = ::poll(&one, 1, static_cast<int>(std::clamp<long>(left, 0, 600'000)));
    if (count > 0) return true;
    if (count == 0) return false;
    if (errno != EINTR) return false;
    unless_interrupted();
  }
}

}  // namespace

ControlClient::ControlClient(ControlClient&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), received_(std::move(other.received_)) {}

ControlClient::~ControlClient() {
  if (socket_ >= 0) ::close(socket_);
}

tl::expected<ControlClient, ControlClient::Failure> ControlClient::connect(
    const std::string& path, std::chrono::milliseconds patience) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Kind::absent, path + ": the path is too long for a socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ControlClient client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (client.socket_ < 0) return fail(Kind::absent, std::strerror(errno));
  if (::connect(client.socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    return fail(error == EACCES || error == EPERM ? Kind::refused : Kind::absent,
                path + ": " + std::strerror(error));
  }
  const auto pong = client.ask(Json{{"verb", "ping"}}, patience);
  if (!pong) return tl::unexpected(pong.error());
  return client;
}

tl::expected<Json, ControlClient::Failure> ControlClient::ask(const Json& request,
                                                              std::chrono::milliseconds patience) {
  const auto until = Clock::now() + patience;
  std::string line = dump(request) + "\n";
  for (std::size_t sent = 0; sent < line.size();) {
    if (!ready(socket_, POLLOUT, until)) return fail(Kind::silent, "the daemon does not take the request");
    const auto n = ::send(socket_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0)
      return fail(Kind::silent, std::string("the daemon closed the control socket: ") + std::strerror(errno));
    sent += static_cast<std::size_t>(n);
  }
  std::size_t searched = 0;
  while (true) {
    const auto end = received_.find('\n', searched);
    if (end != std::string::npos) {
      Json answer = Json::parse(received_.substr(0, end), nullptr, false);
      received_.erase(0, end + 1);
      if (!answer.is_object()) return fail(Kind::silent, "the daemon's answer is no JSON object");
      return answer;
    }
    searched = received_.size();
    if (!ready(socket_, POLLIN, until)) return fail(Kind::silent, "the daemon does not answer");
    char some[65536];
    const auto n = ::recv(socket_, some, sizeof some, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) return fail(Kind::silent, "the daemon closed the control socket before it answered");
    received_.append(some, static_cast<std::size_t>(n));
  }
}

}  // namespace spoold::server::admin
