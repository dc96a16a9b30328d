#include "server/delivery/tls_client.hpp"

#include <openssl/err.h>

#include <utility>

namespace spoold::server {
namespace {

// Of an SSL: whom its new sessions are for. Freed with it; the client may be gone by then.
struct Owner {
  std::weak_ptr<TlsClient> client;
  std::string key;
};

int owner_index() {
  static const int index = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* owner, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<Owner*>(owner); });
  return index;
}

std::string key_of(const Target& target, const delivery::TlsPlan& plan) {
  std::string key = target.text;
  const auto add = [&key](std::string_view part) {
    key += '\0';
    key += part;
  };
  add(std::to_string(static_cast<int>(plan.trust)));
  add(plan.server_name);
  for (const std::string& name : plan.names) add(name);
  if (plan.trust == delivery::TlsPlan::Trust::dane)
    for (const Tlsa& one : target.tlsa) {
      key += {static_cast<char>(one.usage), static_cast<char>(one.selector), static_cast<char>(one.matching)};
      add(one.data);
    }
  return key;
}

}  // namespace

tl::expected<std::shared_ptr<const TlsContext>, std::string> TlsContext::make(const std::string& ca_file) {
  auto made = std::make_shared<TlsContext>();
  made->context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* c = made->get();
  if (c == nullptr) return tl::unexpected(std::string("OpenSSL makes no TLS context"));
  // An end without close_notify is an end like any other; as an error it would also spoil the session.
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(
      c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(c, TlsClient::new_session);
  if (SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1 || SSL_CTX_dane_enable(c) <= 0 ||
      SSL_CTX_set_default_verify_paths(c) != 1 || owner_index() < 0) {
    ERR_clear_error();
    return tl::unexpected(std::string("OpenSSL cannot be set up for TLS 1.2 and DANE"));
  }
  if (!ca_file.empty() && SSL_CTX_load_verify_locations(c, ca_file.c_str(), nullptr) != 1) {
    ERR_clear_error();
    return tl::unexpected(
        "[delivery] ca_file " + ca_file +
        " holds no certificates that this process can read: it must be a PEM file that the user "
        "of [server] user may read");
  }
  return made;
}

tl::expected<std::unique_ptr<TlsStream>, std::string> TlsClient::begin(int fd, const Target& target,
                                                                       const delivery::TlsPlan& plan) {
  if (!context_) return tl::unexpected(std::string("there is no TLS context"));
  TlsStream::Ssl ssl(SSL_new(context_->get()));
  if (!ssl) return tl::unexpected(std::string("OpenSSL makes no TLS connection"));
  auto owner = std::make_unique<Owner>(Owner{weak_from_this(), key_of(target, plan)});
  if (const auto found = kept_.find(owner->key); found != kept_.end()) {
    order_.splice(order_.begin(), order_, found->second);
    if (SSL_set_session(ssl.get(), found->second->session.get()) == 1) ++resumed;
  }
  if (SSL_set_ex_data(ssl.get(), owner_index(), owner.get()) != 1)
    return tl::unexpected(std::string("OpenSSL has no memory for a TLS connection"));
  (void)owner.release();  // it is the SSL's now
  return TlsStream::make(std::move(ssl), fd, plan, target.tlsa);
}

int TlsClient::new_session(SSL* ssl, SSL_SESSION* session) {
  const auto* owner = static_cast<const Owner*>(SSL_get_ex_data(ssl, owner_index()));
  const auto client = owner == nullptr ? nullptr : owner->client.lock();
  if (!client || SSL_SESSION_is_resumable(session) != 1) return 0;
  client->keep(owner->key, Session(session));
  return 1;  // it is ours now
}

void TlsClient::keep(const std::string& key, Session session) {
  if (const auto found = kept_.find(key); found != kept_.end()) {
    found->second->session = std::move(session);
    order_.splice(order_.begin(), order_, found->second);
    return;
  }
  order_.push_front({key, std::move(session)});
  kept_[key] = order_.begin();
  if (order_.size() <= most_sessions) return;
  kept_.erase(order_.back().key);
  order_.pop_back();
}

void TlsClient::forget(const Target& target, const delivery::TlsPlan& plan) {
  const auto found = kept_.find(key_of(target, plan));
  if (found == kept_.end()) return;
  order_.erase(found->second);
  kept_.erase(found);
}

}  // namespace spoold::server
