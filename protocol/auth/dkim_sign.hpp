// DKIM signatures of our own (RFC 6376 5, RFC 8301, RFC 8463): which octets a private key signs, and the field that is made of
// the signature. Pure: the hash of the body and the signature come from outside, as the proofs of a verification do.
//
//   BodyHash body(true, std::nullopt, new_digest);   // canonical.hpp: once for each body, whatever number of signatures
//   const ToSign made = to_sign(header.fields(), hash, {domain, selector, KeyType::ed25519}, arrived);
//   field = signed_field(made, key.sign(made.octets));   // stands in front of all fields
//
// Guarantees: relaxed/relaxed. The same fields, hash, key and time give the same octets, and both algorithms are deterministic:
// a message that is signed again after a restart goes out as before. No line of the field has more than 78 octets, unless a
// domain or selector alone is longer. The work is linear in the header.
//
// What is signed: signed_fields(). A field that is *over-signed* stands once more in h= than in the message, so that none can be
// added without breaking the signature: From, Subject, Date, To, Cc, Message-ID, and what decides how the body is read. In
// list mail also Reply-To and all of List-*, List-Unsubscribe-Post among them (RFC 8058 4). The signature of an author does not
// over-sign these: his mail may go through a list, which adds them. Not signed: trace fields, and what each hop may change.
// t= is the time that the caller names, the arrival. There is no x=: a post that was held for a week would be expired when it
// is released, and a reader who verifies an old mail would see a failure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "protocol/auth/dkim_signature.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/time.hpp"

namespace spoold::auth {

struct SignAs {
  std::string_view domain, selector;
  KeyType type = KeyType::rsa;
};

struct ToSign {
  std::string field;   // up to "b="
  std::string octets;  // rsa-sha256 signs their hash by PKCS#1 v1.5; Ed25519 signs their SHA-256 (RFC 8463 3)
};

/// Names for h=, in lower case, with the extra one of each field that is over-signed. `fields`: of the message as it goes out.
std::vector<std::string> signed_fields(const std::vector<mail::Field>& fields);

/// `body_hash`: SHA-256 of the relaxed body, 32 octets. Signatures in `fields` are not signed.
ToSign to_sign(const std::vector<mail::Field>& fields, std::string_view body_hash, const SignAs& as,
               TimePoint at);
/// The whole field with its line end. `signature`: octets.
std::string signed_field(const ToSign& made, std::string_view signature);

/// The value of the TXT record at SELECTOR._domainkey.DOMAIN (RFC 6376 3.6.1). `key`: SubjectPublicKeyInfo of an RSA key; the 32
/// octets of an Ed25519 key.
std::string key_record(KeyType type, std::string_view key);
/// A TXT value in strings of at most 255 octets (RFC 1035 3.3).
std::vector<std::string> txt_strings(std::string_view value);

}  // namespace spoold::auth
