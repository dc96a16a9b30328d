#include "server/tls/tls_stream.hpp"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace spoold::server {
namespace {

constexpr std::size_t record = 16384;
constexpr int strong = 2, weak = 1;  // OpenSSL's security levels: 112 and 80 bits

int stream_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200)) out += c > 0x20 && c < 0x7f ? c : '?';
  return out;
}

// What a certificate says it is for: a few of its names.
std::string names_of(X509* certificate) {
  std::string out;
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0, shown = 0; i < sk_GENERAL_NAME_num(names) && shown < 5; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    const auto size = static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName));
    out += (out.empty() ? "" : ", ") + printable(std::string_view(text, size));
    ++shown;
  }
  GENERAL_NAMES_free(names);
  return out.empty() ? "no host" : out;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : " or ") + name;
  return out;
}

// The reason of the newest error in OpenSSL's queue, without its numbers.
std::string reason() {
  const unsigned long error = ERR_peek_last_error();
  const char* text = error == 0 ? nullptr : ERR_reason_error_string(error);
  return text == nullptr ? "" : text;
}

}  // namespace

// OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE, and its errors spoil the reading side.
BIO_METHOD* TlsStream::method() {
  static BIO_METHOD* const made = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "spoold socket");
    BIO_meth_set_write(m, [](BIO* bio, const char* bytes, int size) {
      auto* socket = static_cast<Socket*>(BIO_get_data(bio));
      BIO_clear_retry_flags(bio);
      ssize_t n = -1;
      if (socket->write_error == 0) {
        do n = ::send(socket->fd, bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) socket->write_error = errno;
      }
      if (n < 0) BIO_set_retry_write(bio);
      return static_cast<int>(n);
    });
    BIO_meth_set_read(m, [](BIO* bio, char* into, int size) {
      auto* socket = static_cast<Socket*>(BIO_get_data(bio));
      BIO_clear_retry_flags(bio);
      ssize_t n = -1;
      do n = ::recv(socket->fd, into, static_cast<std::size_t>(size), 0);
      while (n < 0 && errno == EINTR);
      if (n == 0) socket->ended = true;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        BIO_set_retry_read(bio);
      else if (n < 0)
        socket->read_error = errno;
      return static_cast<int>(n);
    });
    BIO_meth_set_ctrl(m, [](BIO* bio, int command, long, void*) -> long {
      if (command == BIO_CTRL_EOF) return static_cast<Socket*>(BIO_get_data(bio))->ended ? 1 : 0;
      return command == BIO_CTRL_FLUSH ? 1 : 0;
    });
    return m;
  }();
  return made;
}

TlsStream::TlsStream(Ssl ssl, int fd, const delivery::TlsPlan& plan)
    : ssl_(std::move(ssl)), socket_{fd}, plan_(plan) {}

tl::expected<std::unique_ptr<TlsStream>, std::string> TlsStream::make(Ssl ssl, int fd,
                                                                      const delivery::TlsPlan& plan,
                                                                      const std::vector<dns::Tlsa>& tlsa) {
  std::unique_ptr<TlsStream> stream(new TlsStream(std::move(ssl), fd, plan));
  ERR_clear_error();
  std::string fault = stream->set_up(tlsa);
  ERR_clear_error();
  if (!fault.empty()) return tl::unexpected(std::move(fault));
  return stream;
}

tl::expected<std::unique_ptr<TlsStream>, std::string> TlsStream::accept(Ssl ssl, int fd) {
  std::unique_ptr<TlsStream> stream(new TlsStream(std::move(ssl), fd, {}));
  const bool attached = stream->attach();
  ERR_clear_error();
  if (!attached) return tl::unexpected(std::string("OpenSSL has no memory for a TLS connection"));
  SSL_set_accept_state(stream->ssl_.get());
  return stream;
}

TlsStream::~TlsStream() {
  // However the connection ended: OpenSSL would call the session bad where no close_notify was sent.
  if (up_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_set_ex_data(ssl_.get(), stream_index(), nullptr);
}

bool TlsStream::attach() {
  BIO* bio = method() == nullptr ? nullptr : BIO_new(method());
  if (bio == nullptr) return false;
  BIO_set_data(bio, &socket_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  return SSL_set_ex_data(ssl_.get(), stream_index(), this) == 1;
}

// Every demand is checked to have been taken: one that OpenSSL dropped would let anybody pass.
std::string TlsStream::set_up(const std::vector<dns::Tlsa>& tlsa) {
  using Trust = delivery::TlsPlan::Trust;
  SSL* ssl = ssl_.get();
  if (!attach()) return "OpenSSL has no memory for a TLS connection";
  SSL_set_connect_state(ssl);
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (plan_.trust == Trust::dane)
    if (std::string fault = use_dane(tlsa); !fault.empty()) return fault;
  // What the macro SSL_set_tlsext_host_name() does, without its cast.
  if (!plan_.server_name.empty() &&
      SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, plan_.server_name.data()) != 1)
    return "OpenSSL takes no server name " + printable(plan_.server_name);
  for (std::size_t i = 0; i < plan_.names.size(); ++i) {
    const std::string& name = plan_.names[i];
    std::error_code none;
    const auto address = asio::ip::make_address(name, none);
    const bool taken = none ? expect_host(name, i == 0) : expect_address(address);
    if (!taken) return "OpenSSL cannot check a certificate for " + printable(name);
    if (!none) break;  // a certificate would have to match both, the address and a name
  }
  if (plan_.trust == Trust::pkix && plan_.names.empty()) return "there is no name to check a certificate for";
  const bool anyone = plan_.trust == Trust::anyone;
  SSL_set_security_level(ssl, anyone ? weak : strong);
  if (anyone) SSL_set_options(ssl, SSL_OP_LEGACY_SERVER_CONNECT);  // better than plain text
  SSL_set_verify(ssl, anyone ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, verified);
  return {};
}

// RFC 7672 2.2: where no record is usable TLS is used all the same, with anyone. A failure of OpenSSL itself is
// no such case.
std::string TlsStream::use_dane(const std::vector<dns::Tlsa>& tlsa) {
  SSL* ssl = ssl_.get();
  if (SSL_dane_enable(ssl, plan_.server_name.c_str()) <= 0)
    return "OpenSSL cannot use DANE for " + printable(plan_.server_name);
  SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);  // RFC 7672 3.1.1
  bool any = false;
  for (const dns::Tlsa& one : tlsa) {
    if (!dns::usable(one)) continue;
    const int added =
        SSL_dane_tlsa_add(ssl, one.usage, one.selector, one.matching,
                          reinterpret_cast<const unsigned char*>(one.data.data()), one.data.size());
    if (added < 0) return "OpenSSL cannot take a TLSA record of " + printable(plan_.server_name);
    any = any || added > 0;
  }
  if (!any) plan_.trust = delivery::TlsPlan::Trust::anyone;
  return {};
}

// An empty name would make OpenSSL check none, an embedded NUL another one.
bool TlsStream::expect_host(const std::string& name, bool first) {
  if (name.empty() || name.find('\0') != std::string::npos) return false;
  return (first ? SSL_set1_host(ssl_.get(), name.c_str()) : SSL_add1_host(ssl_.get(), name.c_str())) == 1;
}

// By its octets: a certificate names no zone (fe80::1%eth0).
bool TlsStream::expect_address(const asio::ip::address& address) {
  X509_VERIFY_PARAM* param = SSL_get0_param(ssl_.get());
  if (address.is_v4()) return X509_VERIFY_PARAM_set1_ip(param, address.to_v4().to_bytes().data(), 4) == 1;
  return X509_VERIFY_PARAM_set1_ip(param, address.to_v6().to_bytes().data(), 16) == 1;
}

// Only to remember why: OpenSSL decides.
int TlsStream::verified(int ok, X509_STORE_CTX* context) {
  if (ok == 1) return ok;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* stream = static_cast<TlsStream*>(SSL_get_ex_data(ssl, stream_index()));
  if (stream == nullptr || !stream->refusal_.empty()) return ok;
  const int error = X509_STORE_CTX_get_error(context);
  stream->refusal_ = X509_verify_cert_error_string(error);
  X509* certificate = X509_STORE_CTX_get_current_cert(context);
  const bool of_name = error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH;
  if (of_name && certificate != nullptr)
    stream->refusal_ += ": it is for " + names_of(certificate) + ", expected " + joined(stream->plan_.names);
  return ok;
}

TlsStream::Want TlsStream::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    up_ = true;
    return Want::done;
  }
  const int error = SSL_get_error(ssl_.get(), result);
  if (socket_.write_error == 0) {
    if (error == SSL_ERROR_WANT_READ) return Want::read;
    if (error == SSL_ERROR_WANT_WRITE) return Want::write;
  }
  failed_here_ = ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
  const int broke = socket_.read_error != 0 ? socket_.read_error : socket_.write_error;
  if (socket_.ended)
    failure_ = "connection closed during the TLS handshake";
  else if (broke != 0)
    failure_ = "connection broken during the TLS handshake: " + std::string(std::strerror(broke));
  else if (plan_.trust != delivery::TlsPlan::Trust::anyone && !refusal_.empty())
    failure_ = "TLS handshake failed: certificate not accepted: " + refusal_;
  else
    failure_ = "TLS handshake failed: " + (reason().empty() ? std::string("no reason given") : reason());
  ERR_clear_error();
  return Want::failed;
}

std::string TlsStream::used() const {
  using Trust = delivery::TlsPlan::Trust;
  std::string out = SSL_get_version(ssl_.get());
  if (SSL_is_server(ssl_.get())) {
    const char* const cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl_.get()));
    return out.append(" ").append(cipher == nullptr ? SSL_get_cipher_name(ssl_.get()) : cipher);
  }
  const bool matches = SSL_get_verify_result(ssl_.get()) == X509_V_OK && !plan_.names.empty();
  const char* const trust = plan_.trust == Trust::dane ? "dane" : matches ? "verified" : "untrusted";
  return out.append(" ").append(SSL_get_cipher_name(ssl_.get())).append(" ").append(trust);
}

// Alerts, and records that are none, are a reset: the end either way.
std::error_code TlsStream::of_write(int result) const {
  if (socket_.write_error != 0) return {socket_.write_error, asio::error::get_system_category()};
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_WRITE) return asio::error::would_block;
  return asio::error::connection_reset;
}

std::error_code TlsStream::of_read(int result) const {
  if (socket_.read_error != 0) return {socket_.read_error, asio::error::get_system_category()};
  const int error = SSL_get_error(ssl_.get(), result);
  if (socket_.ended || error == SSL_ERROR_ZERO_RETURN) return asio::error::eof;
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return asio::error::would_block;
  return asio::error::connection_reset;
}

std::size_t TlsStream::write_some(std::span<const asio::const_buffer> buffers, std::error_code& error) {
  // Used only within this call: a record that is under way is asked for again with the same octets.
  thread_local std::array<char, record> gathered;
  error = {};
  const char* from = nullptr;
  std::size_t size = 0, filled = 0;
  for (const asio::const_buffer& buffer : buffers) {
    if (buffer.size() == 0) continue;
    if (from == nullptr) {
      from = static_cast<const char*>(buffer.data());
      size = std::min(buffer.size(), record);
      continue;
    }
    if (size == record) break;
    if (filled == 0) {
      std::memcpy(gathered.data(), from, size);
      from = gathered.data();
      filled = size;
    }
    const std::size_t more = std::min(buffer.size(), record - filled);
    std::memcpy(gathered.data() + filled, buffer.data(), more);
    size = filled += more;
  }
  if (size == 0) return 0;
  ERR_clear_error();
  std::size_t n = 0;
  const int result = SSL_write_ex(ssl_.get(), from, size, &n);
  if (result == 1) return n;
  error = of_write(result);
  return 0;
}

std::size_t TlsStream::read_some(asio::mutable_buffer into, std::error_code& error) {
  error = {};
  std::size_t all = 0;
  auto* const at = static_cast<char*>(into.data());
  while (all < into.size()) {  // several small records make one piece of work
    ERR_clear_error();
    std::size_t n = 0;
    const int result = SSL_read_ex(ssl_.get(), at + all, into.size() - all, &n);
    if (result == 1) {
      all += n;
      continue;
    }
    if (all > 0) return all;  // what stopped it is there the next time too
    error = of_read(result);
    return 0;
  }
  return all;
}

void TlsStream::shut_down() {
  if (!up_ || socket_.write_error != 0 || socket_.read_error != 0) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace spoold::server
