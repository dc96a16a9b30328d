// Connections with a PROXY header in front: read octet for octet to its end, then the session of whom it names begins.
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "server/inbound/listener.hpp"
#include "server/inbound/session.hpp"
#include "server/log.hpp"
#include "server/watchdog.hpp"

namespace spoold::server {
namespace {

constexpr auto header_limit = std::chrono::seconds(5);

void refuse(const Peer& proxy, std::string_view why) {
  log::event(log::Level::info, "refused", {{"stage", "PROXY"}, {"client", proxy.text()}, {"reply", why}});
}

/// Takes the header's octets, and none behind them. Nothing: they are not all there.
std::optional<std::string> take(StreamSocket& socket, smtp::ProxyHeader& header) {
  std::array<char, 512> octets;
  const auto seen = ::recv(socket.native_handle(), octets.data(), octets.size(), MSG_PEEK | MSG_DONTWAIT);
  if (seen < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return std::nullopt;
  if (seen <= 0) return "it left before its PROXY header was there";
  const std::size_t used = header.feed({octets.data(), static_cast<std::size_t>(seen)});
  if (header.state() == smtp::ProxyHeader::State::bad) return header.fault();
  if (::recv(socket.native_handle(), octets.data(), used, MSG_DONTWAIT) != static_cast<ssize_t>(used))
    return "its PROXY header cannot be read";
  return std::nullopt;
}

}  // namespace

// Whoever is not a proxy gets no word: what he would hear might be taken for the proxy's.
void Listener::admit_proxied(Reception& reception, StreamSocket socket, Peer proxy, Threads::Seat seat) {
  const auto rules = reception.rules();
  const conf::Smtp& smtp = rules->settings->smtp;
  if (!proxy.in(smtp.proxies)) return log_trouble(proxy.text() + " is not one of [smtp] proxies");
  if (headers_ >= smtp.max_connections)
    return log_trouble("too many connections wait for their PROXY header");
  ++headers_;
  const asio::any_io_executor executor = socket.get_executor();
  auto ended = [self = shared_from_this()](std::exception_ptr thrown) {
    --self->headers_;
    rethrow(std::move(thrown));
  };
  asio::co_spawn(
      executor,
      read_header(shared_from_this(), reception, std::move(socket), std::move(proxy), std::move(seat)),
      std::move(ended));
}

Awaitable<> Listener::read_header(std::shared_ptr<Listener> self, Reception& reception, StreamSocket socket,
                                  Peer proxy, Threads::Seat seat) {
  using State = smtp::ProxyHeader::State;
  Watchdog watchdog(socket.get_executor(), [&socket] {
    std::error_code ignored;
    socket.close(ignored);
  });
  watchdog.limit(header_limit);
  smtp::ProxyHeader header;
  while (header.state() == State::more) {
    auto [error] = co_await socket.async_wait(asio::socket_base::wait_read, use);
    if (error || !socket.is_open()) {
      refuse(proxy, watchdog.fired() ? "its PROXY header did not come within 5 s" : "the connection failed");
      co_return;
    }
    if (const auto fault = take(socket, header)) {
      refuse(proxy, *fault);
      co_return;
    }
  }
  watchdog.stop();
  Session::start(reception, self->door_, std::move(socket), Peer::behind(proxy, header.client()),
                 std::move(seat));
}

}  // namespace spoold::server
