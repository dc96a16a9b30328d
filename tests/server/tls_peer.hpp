// The other end of a TlsStream in the same thread: certificates made on the spot, and a server over a socket
// pair that goes on whenever it is asked to.
#pragma once
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace spoold::tests {

struct Key {
  std::shared_ptr<EVP_PKEY> key{EVP_EC_gen("P-256"), EVP_PKEY_free};
};

struct Certificate {
  Key key;
  std::shared_ptr<X509> x509;
};

/// For `name`; from `issuer`, or self-signed. `days` until it expires, negative: it has.
inline Certificate certificate(const std::string& name, const Certificate* issuer = nullptr, bool ca = false,
                               int days = 10) {
  static long serial = 0;
  Certificate made;
  made.x509 = {X509_new(), X509_free};
  X509* x = made.x509.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(x), -86400L * 20);
  X509_gmtime_adj(X509_getm_notAfter(x), 86400L * days);
  X509_set_pubkey(x, made.key.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x, X509_get_subject_name(issuer != nullptr ? issuer->x509.get() : x));
  const auto extend = [x](int what, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str());
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  };
  extend(NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE");
  if (!ca) extend(NID_subject_alt_name, "DNS:" + name);
  X509_sign(x, (issuer != nullptr ? issuer->key : made.key).key.get(), EVP_sha256());
  return made;
}

/// SHA-256 of the certificate (selector 0) or of its public key (1), as a TLSA record has it.
inline std::string digest(const Certificate& of, int selector) {
  unsigned char* der = nullptr;
  const int size = selector == 0 ? i2d_X509(of.x509.get(), &der) : i2d_PUBKEY(of.key.key.get(), &der);
  std::string out(32, '\0');
  EVP_Digest(der, static_cast<std::size_t>(size), reinterpret_cast<unsigned char*>(out.data()), nullptr,
             EVP_sha256(), nullptr);
  OPENSSL_free(der);
  return out;
}

inline void write_pem(const std::filesystem::path& file, const Certificate& certificate) {
  FILE* out = fopen(file.c_str(), "w");
  PEM_write_X509(out, certificate.x509.get());
  fclose(out);
}

class TlsPeer {
 public:
  explicit TlsPeer(const Certificate& own, const Certificate* chain = nullptr, int version = TLS1_3_VERSION)
      : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
    SSL_CTX_use_certificate(context_.get(), own.x509.get());
    SSL_CTX_use_PrivateKey(context_.get(), own.key.key.get());
    if (chain != nullptr) SSL_CTX_add1_chain_cert(context_.get(), chain->x509.get());
    SSL_CTX_set_max_proto_version(context_.get(), version);
    SSL_CTX_set_session_id_context(context_.get(), reinterpret_cast<const unsigned char*>("t"), 1);
    SSL_CTX_set_num_tickets(context_.get(), 1);
  }
  ~TlsPeer() { close_both(); }

  /// A new connection; what the client is to use.
  int connect() {
    close_both();
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) std::abort();
    ours_ = pair[0], theirs_ = pair[1];
    ssl_.reset(SSL_new(context_.get()), SSL_free);
    SSL_set_fd(ssl_.get(), ours_);
    SSL_set_accept_state(ssl_.get());
    return theirs_;
  }
  void go_on() { SSL_do_handshake(ssl_.get()); }
  bool say(const std::string& text) {
    return SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) > 0;
  }
  /// What arrived; the size of each record is added to `records`.
  std::string hear() {
    std::string all(1 << 20, '\0');
    std::size_t size = 0;
    for (int n; (n = SSL_read(ssl_.get(), all.data() + size, 16384)) > 0;) {
      size += static_cast<std::size_t>(n);
      records.push_back(n);
    }
    all.resize(size);
    return all;
  }
  /// Octets without TLS, and the end.
  void say_plainly(const std::string& text) {
    char unread[4096];  // what is not read would make a reset of the end
    while (::recv(ours_, unread, sizeof unread, 0) > 0) {
    }
    if (::send(ours_, text.data(), text.size(), MSG_NOSIGNAL) < 0) std::abort();
    hang_up();
  }
  void finish() { SSL_shutdown(ssl_.get()); }
  void hang_up() {
    if (ours_ >= 0) ::close(ours_);
    ours_ = -1;
  }
  const char* server_name() { return SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name); }
  bool resumed() { return SSL_session_reused(ssl_.get()) == 1; }

  std::vector<int> records;

 private:
  void close_both() {
    hang_up();
    if (theirs_ >= 0) ::close(theirs_);
    theirs_ = -1;
  }
  std::shared_ptr<SSL_CTX> context_;
  std::shared_ptr<SSL> ssl_;
  int ours_ = -1, theirs_ = -1;
};

}  // namespace spoold::tests
