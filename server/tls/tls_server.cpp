#include "server/tls/tls_server.hpp"

#include <utility>

namespace spoold::server {

TlsServer::TlsServer(std::shared_ptr<const Certificates> certificates, Certificates::Context context)
    : certificates_(std::move(certificates)), context_(std::move(context)) {
  // What the macros SSL_CTX_set_tlsext_servername_*() do, without their casts of functions.
  SSL_CTX_callback_ctrl(context_.get(), SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                        reinterpret_cast<void (*)()>(&TlsServer::choose));
  SSL_CTX_ctrl(context_.get(), SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG, 0,
               const_cast<Certificates*>(certificates_.get()));
}

tl::expected<std::shared_ptr<const TlsServer>, std::string> TlsServer::make(
    std::shared_ptr<const Certificates> certificates) {
  auto context = certificates->context();
  if (!context) return tl::unexpected(std::move(context.error()));
  return std::shared_ptr<const TlsServer>(new TlsServer(std::move(certificates), *std::move(context)));
}

// The certificate alone is another: options, session tickets and their keys stay those of the listener.
int TlsServer::choose(SSL* ssl, int*, void* certificates) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_CTX* found = static_cast<const Certificates*>(certificates)->find(name);
  if (found == nullptr || SSL_set_SSL_CTX(ssl, found) != found) return SSL_TLSEXT_ERR_NOACK;
  return SSL_TLSEXT_ERR_OK;
}

tl::expected<std::unique_ptr<TlsStream>, std::string> TlsServer::begin(int fd) const {
  TlsStream::Ssl ssl(SSL_new(context_.get()));
  if (!ssl) return tl::unexpected(std::string("OpenSSL makes no TLS connection"));
  return TlsStream::accept(std::move(ssl), fd);
}

}  // namespace spoold::server
