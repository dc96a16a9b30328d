// Passwords of users: what is kept of one, and how one that a client gives is judged. The cryptography of
// protocol/smtp/sasl_server, by libxcrypt (yescrypt) and OpenSSL.
//
// Guarantees: judging a password takes as long for a user who does not exist as for a wrong password, and SCRAM has a salt
// for him that stays the same. Comparisons take the same time wherever the difference is. Any thread; make_verifiers() and
// PasswordJudge::right() take tens of milliseconds and 16 MiB: never on a network thread. Failures: std::runtime_error
// when a library does not do its part; a verifier that cannot be read is a wrong password.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/smtp/sasl_server.hpp"
#include "store/directory/users.hpp"

namespace spoold::server {

/// Why this must not be a password, in one sentence.
std::optional<std::string> password_fault(std::string_view password);

/// yescrypt (crypt(5) "$y$") and SCRAM-SHA-256 keys, each with a salt of its own, of the password as SASLprep makes it (RFC
/// 4013): clients of SCRAM send nothing else. It must have no password_fault().
store::directory::Verifiers make_verifiers(const std::string& given);

class PasswordJudge {
 public:
  /// `secret`: what the salts of users who do not exist are made of.
  explicit PasswordJudge(std::string secret);

  /// `user` none: he does not exist.
  bool right(const std::optional<store::directory::User>& user, const std::string& password) const;
  smtp::sasl::Salt salt(std::string_view name, const std::optional<store::directory::User>& user) const;
  /// The server's signature; none: the proof is wrong.
  std::optional<smtp::sasl::Signature> signature(const std::optional<store::directory::User>& user,
                                                 const smtp::sasl::ScramProof& proof) const;

 private:
  std::string secret_;
  store::directory::Verifiers nobody_;  // of a password that nobody knows
};

}  // namespace spoold::server
