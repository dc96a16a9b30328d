// TLS of one listener: what its connections have in common, made of the certificates once.
//
// Guarantees: the name that a client asks for (SNI) chooses the certificate; a client without a name, or with an unknown
// one, gets the first. A session that began at one listener is not resumed at another, nor after the certificates were
// read again. Any thread. Must live longer than the handshakes of its connections. Failures: one sentence; always a
// fault of this machine. See also: certificates.hpp, tls_stream.hpp.
#pragma once
#include <memory>
#include <string>

#include <tl/expected.hpp>

#include "server/tls/certificates.hpp"
#include "server/tls/tls_stream.hpp"

namespace spoold::server {

class TlsServer {
 public:
  static tl::expected<std::shared_ptr<const TlsServer>, std::string> make(
      std::shared_ptr<const Certificates> certificates);

  /// For a connected socket whose client begins the handshake.
  tl::expected<std::unique_ptr<TlsStream>, std::string> begin(int fd) const;

 private:
  TlsServer(std::shared_ptr<const Certificates> certificates, Certificates::Context context);
  static int choose(SSL* ssl, int* alert, void* certificates);

  std::shared_ptr<const Certificates> certificates_;
  Certificates::Context context_;
};

}  // namespace spoold::server
