#include "server/tls/certificates.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace spoold::server {
namespace {

std::unique_ptr<BIO, Certificates::Free> reader(const std::string& text) {
  return std::unique_ptr<BIO, Certificates::Free>(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// What all contexts of servers have in common; each makes keys of its own for its session tickets.
Certificates::Context server_context() {
  Certificates::Context made(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* c = made.get();
  if (c == nullptr) return made;
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF |
                             SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(
      c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  // Each record that holds no octets of the client's ends a read: a flood of them gets no longer turn than others.
  SSL_CTX_clear_mode(c, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(c, 1);
  SSL_CTX_set_security_level(c, 2);
  const unsigned char id[] = "spoold";  // a session is resumed where its ticket can be read
  if (SSL_CTX_set_session_id_context(c, id, sizeof id) != 1 ||
      SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(c, "DEFAULT:!kRSA:!PSK:!SRP:!aNULL:!eNULL") != 1)
    made.reset();
  return made;
}

std::string day(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "a day that cannot be read";
  char text[32] = {};
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

}  // namespace

std::string Certificates::read_chain(One& one, const std::string& path) {
  const auto text = pem_text(path);
  if (!text) return text.error();
  const auto bio = reader(*text);
  for (;;) {
    std::unique_ptr<X509, Free> next(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!next) break;
    if (one.leaf)
      one.chain.push_back(std::move(next));
    else
      one.leaf = std::move(next);
  }
  // The regular end: no further block begins. A block without its end is a file that is cut off.
  const bool whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string why = openssl_reason();
  if (!one.leaf) return "'" + path + "' holds no certificate in PEM form" + (whole ? "" : ": " + why);
  if (!whole) return "'" + path + "' is damaged or cut off: " + why;
  return {};
}

std::string Certificates::read_key(One& one, const std::string& path) {
  auto key = read_private_key(path);
  if (!key) return key.error();
  one.key = std::move(*key);
  return {};
}

std::string Certificates::put(SSL_CTX* context, const One& one) {
  ERR_clear_error();
  if (SSL_CTX_use_certificate(context, one.leaf.get()) != 1) return openssl_reason();
  if (SSL_CTX_use_PrivateKey(context, one.key.get()) != 1) return openssl_reason();
  for (const auto& next : one.chain)
    if (SSL_CTX_add1_chain_cert(context, next.get()) != 1) return openssl_reason();
  return {};
}

tl::expected<std::shared_ptr<const Certificates>, std::vector<conf::Problem>> Certificates::read(
    const conf::Settings& settings, const std::string& file) {
  auto made = std::make_shared<Certificates>();
  std::vector<conf::Problem> problems;
  const auto complain = [&](const conf::Place& at, std::string what) {
    problems.push_back({file, at.line, at.column, std::move(what)});
  };
  for (const conf::Certificate& wanted : settings.certificates) {
    One one;
    const std::string of_chain = read_chain(one, wanted.certificate), of_key = read_key(one, wanted.key);
    if (!of_chain.empty()) complain(wanted.certificate_at, of_chain);
    if (!of_key.empty()) complain(wanted.key_at, of_key);
    if (!of_chain.empty() || !of_key.empty()) continue;
    if (X509_check_private_key(one.leaf.get(), one.key.get()) != 1) {
      ERR_clear_error();
      complain(wanted.key_at, "'" + wanted.key + "' is not the key of '" + wanted.certificate + "'");
      continue;
    }
    one.context = server_context();
    const std::string fault = one.context ? put(one.context.get(), one) : openssl_reason();
    if (!fault.empty())
      complain(wanted.certificate_at, "'" + wanted.certificate + "' cannot be used for TLS: " + fault);
    one.place = conf::Problem{file, wanted.certificate_at.line, wanted.certificate_at.column,
                              "warning: '" + wanted.certificate + "' "}
                    .text();
    made->all_.push_back(std::move(one));
  }
  if (!problems.empty()) return tl::unexpected(std::move(problems));
  return made;
}

std::vector<std::string> Certificates::warnings(TimePoint now) const {
  std::vector<std::string> lines;
  time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  for (const One& one : all_) {
    const ASN1_TIME *from = X509_get0_notBefore(one.leaf.get()), *until = X509_get0_notAfter(one.leaf.get());
    if (X509_cmp_time(until, &seconds) < 0)
      lines.push_back(one.place + "has expired on " + day(until) + ": clients that check it are lost");
    else if (X509_cmp_time(from, &seconds) > 0)
      lines.push_back(one.place + "is not valid before " + day(from));
  }
  return lines;
}

tl::expected<Certificates::Context, std::string> Certificates::context() const {
  if (all_.empty()) return tl::unexpected(std::string("there is no certificate"));
  Context made = server_context();
  std::string fault = made ? put(made.get(), all_.front()) : openssl_reason();
  if (!fault.empty()) return tl::unexpected(std::move(fault));
  return made;
}

SSL_CTX* Certificates::find(const std::string& host) const {
  for (const One& one : all_)
    if (X509_check_host(one.leaf.get(), host.data(), host.size(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                        nullptr) == 1)
      return one.context.get();
  return nullptr;
}

}  // namespace spoold::server
