// What TLS connections have in common. TlsContext: OpenSSL's context, made once, for all threads, before
// anything is delivered. TlsClient belongs to one network thread: sessions to resume, and the hosts whose TLS
// broke. Guarantees: at most 256 sessions; a session is resumed only towards the same address and under the same
// demands under which it was made, so a resumed session is as verified as the first one; no demand is dropped
// because OpenSSL refused to take it. Failures: in words, and always faults of this machine: the caller must not
// treat them as TLS that the peer broke.
#pragma once
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include <tl/expected.hpp>

#include "server/delivery/target.hpp"
#include "server/tls/tls_stream.hpp"

namespace spoold::server {

class TlsContext {
 public:
  /// Reads `ca_file` (empty: the system's certificates only) with the rights that the process has now.
  static tl::expected<std::shared_ptr<const TlsContext>, std::string> make(const std::string& ca_file);
  SSL_CTX* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
};

class TlsClient : public std::enable_shared_from_this<TlsClient> {
 public:
  static constexpr std::size_t most_sessions = 256;

  explicit TlsClient(std::shared_ptr<const TlsContext> context) : context_(std::move(context)) {}
  /// Before the first begin().
  void use(std::shared_ptr<const TlsContext> context) { context_ = std::move(context); }

  /// For a socket that is connected to `target`.
  tl::expected<std::unique_ptr<TlsStream>, std::string> begin(int fd, const Target& target,
                                                              const delivery::TlsPlan& plan);
  /// The handshake of a stream of begin() failed: what it resumed is not offered again.
  void forget(const Target& target, const delivery::TlsPlan& plan);

  delivery::PlaintextHosts plaintext;  // by Target::text
  std::uint64_t resumed = 0;

 private:
  struct FreeSession {
    void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
  };
  using Session = std::unique_ptr<SSL_SESSION, FreeSession>;
  struct Kept {
    std::string key;
    Session session;
  };
  friend class TlsContext;
  static int new_session(SSL* ssl, SSL_SESSION* session);
  void keep(const std::string& key, Session session);

  std::shared_ptr<const TlsContext> context_;
  std::list<Kept> order_;  // most recently used first
  std::unordered_map<std::string, std::list<Kept>::iterator> kept_;
};

}  // namespace spoold::server
