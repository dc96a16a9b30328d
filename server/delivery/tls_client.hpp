// What the TLS connections of one network thread have in common: OpenSSL's context (made at the first use),
// sessions to resume, and the hosts whose TLS broke. Guarantees: bounded (256 sessions); a session is resumed
// only towards the same address and under the same demands as when it was made, so nothing unverified comes
// in by resumption. Failures: in words (a ca_file that cannot be read).
#pragma once
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include <tl/expected.hpp>

#include "server/delivery/target.hpp"
#include "server/delivery/tls_stream.hpp"

namespace spoold::server {

class TlsClient : public std::enable_shared_from_this<TlsClient> {
 public:
  static constexpr std::size_t most_sessions = 256;

  explicit TlsClient(std::string ca_file) : ca_file_(std::move(ca_file)) {}

  /// For a socket that is connected to `target`.
  tl::expected<std::unique_ptr<TlsStream>, std::string> begin(int fd, const Target& target,
                                                              const delivery::TlsPlan& plan);
  /// The handshake of a stream of begin() failed: what it resumed is not offered again.
  void forget(const Target& target, const delivery::TlsPlan& plan);

  delivery::PlaintextHosts plaintext;  // by Target::text
  std::uint64_t resumed = 0;

 private:
  struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  struct FreeSession {
    void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
  };
  using Session = std::unique_ptr<SSL_SESSION, FreeSession>;
  struct Kept {
    std::string key;
    Session session;
  };
  static int new_session(SSL* ssl, SSL_SESSION* session);
  std::string make_context();
  void keep(const std::string& key, Session session);

  std::string ca_file_;
  std::unique_ptr<SSL_CTX, FreeContext> context_;
  std::list<Kept> order_;  // most recently used first
  std::unordered_map<std::string, std::list<Kept>::iterator> kept_;
};

}  // namespace spoold::server
