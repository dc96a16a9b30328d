#include "server/inbound/listener.hpp"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "server/inbound/session.hpp"
#include "server/log.hpp"

namespace spoold::server {
namespace {

using Protocol = asio::generic::stream_protocol;

tl::expected<Protocol::endpoint, std::string> endpoint_of(const conf::Listen& where) {
  if (!where.path.empty()) {
    if (where.path.size() >= sizeof(sockaddr_un::sun_path))
      return tl::unexpected<std::string>("the path is too long");
    return Protocol::endpoint(asio::local::stream_protocol::endpoint(where.path));
  }
  std::error_code error;
  const auto address = asio::ip::make_address(where.host == "localhost" ? "127.0.0.1" : where.host, error);
  if (error) return tl::unexpected<std::string>("'" + where.host + "' is not an IP address");
  return Protocol::endpoint(asio::ip::tcp::endpoint(address, where.port));
}

std::string path_of(const Protocol::endpoint& endpoint) {
  const auto* unix_one = reinterpret_cast<const sockaddr_un*>(endpoint.data());
  const std::size_t room = endpoint.size() - std::min(endpoint.size(), offsetof(sockaddr_un, sun_path));
  return std::string(unix_one->sun_path, ::strnlen(unix_one->sun_path, room));
}

// A socket file that refuses connections was left behind by a process that is gone.
void remove_stale(asio::io_context& io, const std::string& path, const Protocol::endpoint& endpoint) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return;
  StreamSocket probe(io);
  std::error_code error;
  probe.connect(endpoint, error);
  if (error == asio::error::connection_refused) ::unlink(path.c_str());
}

// A listening stream socket of `passed` that is bound to the endpoint; -1: none.
int take_bound(std::vector<int>& passed, const Protocol::endpoint& endpoint) {
  const auto bound = std::find_if(passed.begin(), passed.end(), [&](int fd) {
    Protocol::endpoint there;
    auto size = static_cast<socklen_t>(there.capacity());
    int listens = 0, type = 0;
    socklen_t of_int = sizeof listens;
    if (::getsockname(fd, there.data(), &size) != 0 || size > there.capacity()) return false;
    there.resize(size);
    ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &of_int);
    ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &of_int);
    if (listens == 0 || type != SOCK_STREAM) return false;
    // Of IPv6 the endpoint has a scope and a flow too; of a path the size may count its NUL.
    const Peer one = Peer::of(there), other = Peer::of(endpoint);
    if (!one.unix_socket && !other.unix_socket) return one.host == other.host && one.port == other.port;
    if (one.unix_socket != other.unix_socket) return false;
    return path_of(there) == path_of(endpoint);
  });
  if (bound == passed.end()) return -1;
  const int fd = *bound;
  passed.erase(bound);
  return fd;
}

// accept(2): the connection was gone before it was accepted, or a firewall forbids it.
bool only_this_connection(const std::error_code& error) {
  return error == std::errc::connection_aborted || error == std::errc::protocol_error ||
         error == std::errc::operation_not_permitted;
}

}  // namespace

tl::expected<std::shared_ptr<Listener>, std::string> Listener::bind(asio::io_context& io,
                                                                    const conf::Listen& where,
                                                                    std::size_t door,
                                                                    std::vector<int>& passed) {
  const auto fail = [&](const std::string& what) {
    return tl::unexpected<std::string>("cannot listen on " + where.text + ": " + what);
  };
  const auto endpoint = endpoint_of(where);
  if (!endpoint) return fail(endpoint.error());
  std::shared_ptr<Listener> made(new Listener(io, where, door));
  std::error_code error;
  if (const int fd = take_bound(passed, *endpoint); fd >= 0) {  // its path is whose who has bound it
    made->acceptor_.assign(endpoint->protocol(), fd, error);
    if (error) return fail(error.message());
    return made;
  }
  made->acceptor_.open(endpoint->protocol(), error);
  if (error) return fail(error.message());
  if (where.path.empty()) {
    made->acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (endpoint->protocol().family() == AF_INET6) made->acceptor_.set_option(asio::ip::v6_only(true), error);
  } else {
    remove_stale(io, where.path, *endpoint);
  }
  // 0666 from its first moment. A chmod() afterwards could meet a link that somebody has put in its place, and
  // root would open another file to everybody.
  const mode_t before = ::umask(0111);
  made->acceptor_.bind(*endpoint, error);
  ::umask(before);
  if (error) return fail(error.message());
  made->path_ = where.path;
  made->acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(error.message());
  return made;
}

Listener::~Listener() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

std::uint16_t Listener::port() const {
  std::error_code error;
  return Peer::of(acceptor_.local_endpoint(error)).port;
}

void Listener::close() {
  asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
    std::error_code error;
    self->acceptor_.close(error);
    self->pause_.cancel();
  });
}

Awaitable<> Listener::serve(std::shared_ptr<Listener> self, Reception& reception, Threads& threads) {
  while (self->acceptor_.is_open()) {
    Threads::Place place = threads.least_loaded();
    Protocol::endpoint remote;
    StreamSocket socket(*place.io);
    auto [error] = co_await self->acceptor_.async_accept(socket, remote, use);
    if (error == asio::error::operation_aborted) co_return;
    if (error && !only_this_connection(error)) {
      // The kernel keeps the others in its queue; trying again at once would only burn the processor.
      self->log_trouble(error.message());
      self->pause_.expires_after(std::chrono::milliseconds(100));
      co_await self->pause_.async_wait(use);
    }
    if (error) continue;
    self->admit(reception, std::move(socket), Peer::of(remote), std::move(place));
  }
}

// What keeps a session from being made must not end the loop that accepts the others.
void Listener::admit(Reception& reception, StreamSocket socket, Peer peer, Threads::Place place) {
  try {
    if (reception.rules()->doors.at(door_).proxy_protocol)
      return admit_proxied(reception, std::move(socket), std::move(peer), std::move(place.seat));
    Session::start(reception, door_, std::move(socket), std::move(peer), std::move(place.seat));
  } catch (const std::exception& bug) {
    log_trouble(bug.what());
  }
}

void Listener::log_trouble(const std::string& why) {
  const auto now = std::chrono::steady_clock::now();
  if (now < quiet_until_) return;
  quiet_until_ = now + std::chrono::seconds(1);
  log::event(log::Level::warning, "refused", {{"listener", text_}, {"reply", why}});
}

}  // namespace spoold::server
