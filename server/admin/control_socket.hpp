// The daemon's door for spoolctl: a unix socket, one JSON request a line, one JSON answer a line
// (operator.hpp).
//
// The socket's file mode ([control] mode) decides who may connect; the kernel names the peer (SO_PEERCRED) for
// the audit trail. {"verb":"ping"} is answered by the network thread itself with {"ok":true,"pid":N}, so that a
// client can tell a daemon that works from one that is stuck. Other requests run on threads of their own, which
// may block on lanes and commits: two for those that only read, two for changes, so that `stats` never waits
// behind an import. A link DIR/control in the store's folder names the socket, for `spoolctl --spool DIR`.
//
// Guarantees: a hostile request costs little (request_line.hpp) and gets an answer. A connection without a
// request ends after 60 s; when there are 100 connections the one that has been idle longest makes room. A
// process without a free descriptor still accepts one connection here (spare_descriptor.hpp).
// After close() a request that runs is finished and answered, one that waits for a thread is refused.
// Failures: open() says why there is no door.
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include <tl/expected.hpp>

#include "server/admin/operator.hpp"
#include "server/asio.hpp"

namespace spoold::server {

class ControlSocket {
 public:
  /// The context and the operator must outlive it. Of the settings it takes where its socket is, for its life.
  ControlSocket(asio::io_context&, const conf::Settings&, Operator&,
                std::chrono::milliseconds idle_limit = std::chrono::seconds(60));
  ~ControlSocket();  // join()

  /// Binds and listens. The path of a socket that nobody listens on any more is taken over.
  tl::expected<void, std::string> open();
  /// Names the socket in the store's folder. To be called with the rights of the store's owner.
  void link();
  /// Accepts until close(). To be spawned on the context.
  Awaitable<> serve();
  /// Call it on the context's thread.
  void close();
  /// No request runs or waits. Any thread.
  bool idle() const;
  /// After close(): waits until every request has ended. A request waits for lanes for at most 5 s and for a
  /// commit until the store answers or is closed: so call it after Store::close(), while the lanes' loops run.
  void join();

 private:
  struct State;
  struct Session;
  static Awaitable<> session(std::shared_ptr<State>, std::shared_ptr<Session>);
  std::shared_ptr<State> state_;
};

}  // namespace spoold::server
