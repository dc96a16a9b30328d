// One listening socket (TCP or unix) and its accept loop on the first network thread.
// A unix socket's path is replaced when nobody listens on it any more; it is open to every local user, as a
// TCP port is. What keeps it from accepting (no descriptors, no memory, anything unknown) pauses the loop for
// 100 ms and is logged once a second. With proxy_protocol a connection's session begins when its PROXY header is there: 5 s after it
// was accepted at most, and only a proxy of [smtp] proxies is heard. Lives in a shared_ptr: the loop keeps it until close() has ended it.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "server/asio.hpp"
#include "server/inbound/reception.hpp"

namespace spoold::server {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  /// `door`: its place among the [[listen]]s, and among Rules::doors. Of `passed`, sockets that listen already, it takes
  /// the one that is bound to this address.
  static tl::expected<std::shared_ptr<Listener>, std::string> bind(asio::io_context& io,
                                                                   const conf::Listen& where,
                                                                   std::size_t door,
                                                                   std::vector<int>& passed);
  ~Listener();

  /// Accepts until close(). `reception` must live longer than the threads run.
  static Awaitable<> serve(std::shared_ptr<Listener> self, Reception& reception, Threads& threads);
  void close();  // any thread
  std::uint16_t port() const;

 private:
  using Protocol = asio::generic::stream_protocol;
  Listener(asio::io_context& io, const conf::Listen& where, std::size_t door)
      : acceptor_(io), pause_(io), text_(where.text), door_(door) {}
  void admit(Reception& reception, StreamSocket socket, Peer peer, Threads::Place place);
  // listener_proxied.cpp
  void admit_proxied(Reception& reception, StreamSocket socket, Peer proxy, Threads::Seat seat);
  static Awaitable<> read_header(std::shared_ptr<Listener> self, Reception& reception, StreamSocket socket,
                                 Peer proxy, Threads::Seat seat);
  void log_trouble(const std::string& why);  // at most once a second

  asio::basic_socket_acceptor<Protocol> acceptor_;
  asio::steady_timer pause_;
  std::string path_;
  const std::string text_;
  const std::size_t door_;
  std::chrono::steady_clock::time_point quiet_until_{};
  std::atomic<int> headers_{0};  // connections whose PROXY header has not come yet
};

}  // namespace spoold::server
