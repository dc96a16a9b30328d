// The TLS handshake of a session: behind STARTTLS, or before the greeting.
#include "server/inbound/session.hpp"
#include "server/tls/handshake_line.hpp"

namespace spoold::server {

// Nothing is made for a client before it has sent something: one that begins and goes no further costs a socket.
Awaitable<bool> Session::handshake() {
  using Want = TlsStream::Want;
  std::string why;
  handshaking_ = true;
  more_is_there_ = false;
  for (Want want = Want::read; want != Want::done;) {
    const auto readiness = want == Want::read ? asio::socket_base::wait_read : asio::socket_base::wait_write;
    auto [error] = co_await channel_.socket().async_wait(readiness, use);
    if (!error) {
      HandshakeLine::Turn turn(executor());
      co_await turn.comes();
    }
    if (error || !channel_.socket().is_open()) {
      why = watchdog_.fired() ? "timed out during the TLS handshake" : "the TLS handshake was given up";
      break;
    }
    if (channel_.plain()) {
      auto stream = door_.tls->begin(channel_.socket().native_handle());
      if (!stream) {
        why = stream.error();
        break;
      }
      channel_.begin_tls(std::move(*stream));
    }
    want = channel_.tls()->handshake();
    if (want == Want::failed) {
      why = channel_.tls()->failure();
      break;
    }
  }
  handshaking_ = false;
  if (why.empty()) co_return true;
  log_.no_tls(why);
  if (channel_.socket().is_open())
    co_await hang_up();  // the client's last words are read, or it loses our alert
  channel_.close();
  co_return false;
}

}  // namespace spoold::server
