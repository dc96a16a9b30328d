// The certificates of [[tls]], read and checked as a whole.
//
//   auto certificates = Certificates::read(settings, "/etc/spoold/spoold.toml");
//   for (const std::string& line : (*certificates)->warnings(now)) ...
//
// Guarantees: each certificate that is read has the key that belongs to it, and OpenSSL takes both at its security
// level of 112 bits; a file that is cut off in the middle is refused. Reads with the rights that the process has now, and
// keeps nothing open. A value: any thread. Failures: every problem with the place in the configuration, as for its other
// errors. See also: tls_server.hpp (who presents them).
#pragma once
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "conf/load.hpp"
#include "protocol/time.hpp"
#include "server/auth/key_file.hpp"

namespace spoold::server {

class Certificates {
 public:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(BIO* bio) const { BIO_free(bio); }
  };
  using Context = std::unique_ptr<SSL_CTX, Free>;

  /// `file`: the name of the configuration, for the problems.
  static tl::expected<std::shared_ptr<const Certificates>, std::vector<conf::Problem>> read(
      const conf::Settings& settings, const std::string& file);

  bool empty() const { return all_.empty(); }
  /// "FILE:LINE:COLUMN: warning: ...", one for each that has expired by `now`, or is not valid yet.
  std::vector<std::string> warnings(TimePoint now) const;

  /// A context for a server that presents the first certificate; with session tickets under keys of its own.
  tl::expected<Context, std::string> context() const;
  /// The certificate for this host name, as a context; absent: none is for it.
  SSL_CTX* find(const std::string& host) const;

 private:
  struct One {
    std::unique_ptr<X509, Free> leaf;
    std::vector<std::unique_ptr<X509, Free>> chain;
    PrivateKey key;
    Context context;
    std::string place;
  };
  static std::string put(SSL_CTX* context, const One& one);  // what is wrong, or empty
  static std::string read_chain(One& one, const std::string& path);
  static std::string read_key(One& one, const std::string& path);

  std::vector<One> all_;
};

}  // namespace spoold::server
