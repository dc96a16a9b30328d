// The daemon's door for spoolctl: a unix socket, one JSON request a line, one JSON answer a line
// (operator.hpp).
//
// Who may come in is the socket's file mode ([control] mode); who came is told by the kernel (SO_PEERCRED)
// and goes into the audit trail. {"verb":"ping"} is answered by the network thread itself with
// {"ok":true,"pid":N}, so that a client can tell a daemon that lives from one that is stuck. Requests run on
// two threads of their own: they may block on lanes and commits. A link DIR/control in the store's folder
// names the socket, for `spoolctl --spool DIR`. Failures: open() says why there is no door; a peer that
// breaks the format gets an answer that says so and is cut off at 64 MiB a line.
#pragma once
#include <memory>
#include <string>

#include <tl/expected.hpp>

#include "server/admin/operator.hpp"
#include "server/asio.hpp"

namespace spoold::server {

class ControlSocket {
 public:
  /// All must outlive it.
  ControlSocket(asio::io_context&, const conf::Settings&, Operator&);
  ~ControlSocket();  // waits for the requests that run (bounded: see edit.hpp)

  /// Binds and listens. The path of a socket that nobody listens on any more is taken over.
  tl::expected<void, std::string> open();
  /// Accepts until close(). To be spawned on the context.
  Awaitable<> serve();
  /// Call it on the context's thread. Requests that run are finished, but not answered.
  void close();

 private:
  struct State;
  static Awaitable<> session(std::shared_ptr<State>, std::uint64_t number);
  std::shared_ptr<State> state_;
};

}  // namespace spoold::server
