// One TLS connection, as client or as server, by OpenSSL over a non-blocking socket that somebody else owns and waits for.
//
// Guarantees: small buffers are gathered into whole records; what write_some() says was taken is with the
// kernel to the last octet of its record (isolation.md judges by that). A write that fails does not disturb
// reading: what the peer said before is still heard. No SIGPIPE. A stream ended without close_notify is eof:
// SMTP's replies say themselves where they end. Failures: error codes as of a socket; of the handshake, in
// words.
#pragma once
#include <openssl/ssl.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "protocol/delivery/tls_policy.hpp"
#include "server/asio.hpp"

namespace spoold::server {

class TlsStream {
 public:
  enum class Want : std::uint8_t { done, read, write, failed };

  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  using Ssl = std::unique_ptr<SSL, Free>;

  /// `fd` stays the caller's; it outlives the stream. The error: OpenSSL did not take a demand of the plan; the
  /// peer has no part in it.
  static tl::expected<std::unique_ptr<TlsStream>, std::string> make(Ssl ssl, int fd,
                                                                    const delivery::TlsPlan& plan,
                                                                    const std::vector<dns::Tlsa>& tlsa);
  /// As server, from a context of tls_server.hpp.
  static tl::expected<std::unique_ptr<TlsStream>, std::string> accept(Ssl ssl, int fd);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  Want handshake();
  /// After Want::failed: what TLS said, and of a certificate that did not do, why.
  const std::string& failure() const { return failure_; }
  /// After Want::failed: this machine had no memory for it, the peer did nothing wrong.
  bool failed_here() const { return failed_here_; }
  /// After Want::done: "TLSv1.3 TLS_AES_256_GCM_SHA384", the names of version and cipher that IANA has; as client with
  /// " verified", " dane" or " untrusted" behind it.
  std::string used() const;

  // would_block: nothing can be done now.
  std::size_t write_some(std::span<const asio::const_buffer> buffers, std::error_code& error);
  std::size_t read_some(asio::mutable_buffer into, std::error_code& error);
  /// close_notify, if there is room for it.
  void shut_down();

 private:
  struct Socket {
    int fd, read_error = 0, write_error = 0;
    bool ended = false;
  };
  static BIO_METHOD* method();
  static int verified(int ok, X509_STORE_CTX* context);
  TlsStream(Ssl ssl, int fd, const delivery::TlsPlan& plan);
  bool attach();  // ssl_ reads and writes by socket_
  std::string set_up(const std::vector<dns::Tlsa>& tlsa);
  std::string use_dane(const std::vector<dns::Tlsa>& tlsa);
  bool expect_host(const std::string& name, bool first);
  bool expect_address(const asio::ip::address& address);
  std::error_code of_write(int result) const;
  std::error_code of_read(int result) const;

  Ssl ssl_;
  Socket socket_;
  delivery::TlsPlan plan_;
  std::string refusal_;  // of the certificate
  std::string failure_;
  bool up_ = false, failed_here_ = false;
};

}  // namespace spoold::server
