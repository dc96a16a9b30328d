// The socket of a connection, inbound or outbound, plain or under TLS. Plain octets go straight to the socket: a branch,
// no copy. Guarantees: after close() nothing touches the socket's number again (it may be somebody else's
// by then). When TLS ends the connection is closed, never used in plain text. See tls_stream.hpp.
#pragma once
#include <memory>
#include <span>
#include <utility>

#include "server/tls/tls_stream.hpp"

namespace spoold::server {

class Channel {
 public:
  using Socket = asio::generic::stream_protocol::socket;

  explicit Channel(const asio::any_io_executor& executor) : socket_(executor) {}
  explicit Channel(Socket accepted) : socket_(std::move(accepted)) {}

  Socket& socket() { return socket_; }
  bool plain() const { return tls_ == nullptr; }
  TlsStream* tls() { return tls_.get(); }
  void begin_tls(std::unique_ptr<TlsStream> stream) { tls_ = std::move(stream); }

  std::size_t write_some(std::span<const asio::const_buffer> buffers, std::error_code& error) {
    if (tls_) return tls_->write_some(buffers, error);
    if (buffers.size() == 1)
      return socket_.write_some(buffers.front(), error);  // send() costs less than sendmsg()
    return socket_.write_some(buffers, error);
  }
  std::size_t read_some(asio::mutable_buffer into, std::error_code& error) {
    if (tls_) return tls_->read_some(into, error);
    return socket_.read_some(into, error);
  }
  void close() {
    if (tls_) tls_->shut_down();
    tls_.reset();
    std::error_code ignored;
    socket_.close(ignored);
  }

 private:
  Socket socket_;
  std::unique_ptr<TlsStream> tls_;
};

}  // namespace spoold::server
