// The private keys of [[dkim]], read and checked as a whole; a signature by one of them; new ones.
//
//   auto keys = SigningKeys::read(settings, "/etc/spoold/spoold.toml");
//   head = (*keys)->signatures("lists.example.org", header.fields(), body_hash, arrived) + head;
//
// Guarantees: a key that is read can sign, has at least 1024 bits if it is RSA (RFC 8301 3.2), and its file is not open to
// others. Reads with the rights that the process has now, and keeps nothing open. A value: any thread. Failures: every problem
// with the place in the configuration. signatures() throws std::runtime_error only when OpenSSL itself fails. It takes some
// 30 us a signature by Ed25519 and 350 us by RSA of 2048 bits: not on a network thread.
// See also: protocol/auth/dkim_sign.hpp (what is signed), server/delivery/signing.hpp (when).
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "conf/load.hpp"
#include "protocol/auth/dkim2_make.hpp"
#include "protocol/auth/dkim_sign.hpp"
#include "server/auth/key_file.hpp"

namespace spoold::server {

class SigningKey {
 public:
  static constexpr int fewest_bits = 1024, good_bits = 2048;

  /// Failure: one sentence that names the file.
  static tl::expected<SigningKey, std::string> read(const std::string& path);
  /// A new one: RSA of 2048 bits, or Ed25519.
  static SigningKey make(auth::KeyType type);

  auth::KeyType type() const { return type_; }
  int bits() const;
  /// Of key_record().
  std::string public_key() const;
  /// PKCS #8.
  std::string pem() const;
  /// Over ToSign::octets.
  std::string sign(std::string_view octets) const;

 private:
  struct Contexts;

  SigningKey(PrivateKey key, auth::KeyType type);
  PrivateKey key_;
  auth::KeyType type_;
  std::shared_ptr<Contexts> contexts_;
};

class SigningKeys {
 public:
  /// `file`: the name of the configuration, for the problems.
  static tl::expected<std::shared_ptr<const SigningKeys>, std::vector<conf::Problem>> read(
      const conf::Settings& settings, const std::string& file);

  bool has(const std::string& domain) const { return by_domain_.contains(domain); }
  /// A field for each key of the domain (in lower case), in the order of the configuration; to stand in front of `fields`,
  /// those of the message as it goes out. Empty: the domain has no key.
  std::string signatures(const std::string& domain, const std::vector<mail::Field>& fields,
                         std::string_view body_hash, TimePoint at) const;
  /// The DKIM2-Signature of one copy, by the domain's first Ed25519 key; without one, by its first key. `as`: but for what the key
  /// says. Empty: the domain has no key.
  std::string dkim2_signature(const std::string& domain, const auth::Dkim2Chain& chain,
                              std::string_view hash_value, auth::Dkim2SignAs as) const;
  /// Is it one by this key? Nothing: there is no such key. On a thread that may compute.
  std::optional<bool> verifies(const auth::Dkim2Returned& copy) const;
  /// "FILE:LINE:COLUMN: warning: ...": keys that receivers may refuse.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  struct One {
    std::string selector;
    SigningKey key;
  };
  std::map<std::string, std::vector<One>> by_domain_;
  std::vector<std::string> warnings_;
};

}  // namespace spoold::server
