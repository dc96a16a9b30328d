// TLS of a client's connection, by OpenSSL on its non-blocking socket. No certificate is looked at, no session is resumed: each
// connection costs its server a whole handshake. See also: smtp_load.cpp.
#pragma once
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net.hpp"

namespace bench {

class TlsLine {
 public:
  TlsLine() = default;
  ~TlsLine() { end(); }
  TlsLine(const TlsLine&) = delete;
  TlsLine& operator=(const TlsLine&) = delete;

  /// The handshake is done by the first send() and recv().
  void begin(int fd) {
    ssl_ = SSL_new(context());
    if (ssl_ == nullptr || SSL_set_fd(ssl_, fd) != 1) die("TLS cannot be set up");
    SSL_set_connect_state(ssl_);
  }
  void end() {
    SSL_free(ssl_);
    ssl_ = nullptr;
  }
  explicit operator bool() const { return ssl_ != nullptr; }
  /// Octets are read already, and no event will tell of them.
  bool pending() const { return ssl_ != nullptr && SSL_pending(ssl_) > 0; }
  bool waits_to_read() const { return ssl_ != nullptr && SSL_want_read(ssl_); }

  /// As send(2) and recv(2).
  ssize_t send(const char* from, std::size_t size) {
    return result(SSL_write(ssl_, from, static_cast<int>(size)));
  }
  ssize_t recv(char* to, std::size_t size) { return result(SSL_read(ssl_, to, static_cast<int>(size))); }

 private:
  static SSL_CTX* context() {
    static SSL_CTX* const made = [] {
      SSL_CTX* const one = SSL_CTX_new(TLS_client_method());
      if (one == nullptr) die("TLS cannot be set up");
      SSL_CTX_set_mode(one, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
      return one;
    }();
    return made;
  }
  ssize_t result(int done) {
    if (done > 0) return done;
    const int why = SSL_get_error(ssl_, done);
    ERR_clear_error();
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return why == SSL_ERROR_ZERO_RETURN ? 0 : -1;
  }
  SSL* ssl_ = nullptr;
};

}  // namespace bench
