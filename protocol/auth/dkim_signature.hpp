// One DKIM-Signature field (RFC 6376 3.5), and one key record (3.6.1). Both are hostile input.
//
// A signature that cannot be verified has a Fault: the result in the words of RFC 8601 2.7.1 and the reason.
//   neutral    its syntax is broken
//   permerror  what it asks for does not exist, is not supported, or leaves From unsigned; also rsa-sha1, which RFC 8301
//              3.1 makes a permanent failure
//   policy     it would verify, but this program does not accept it: expired, a key under 1024 bits (RFC 8301 3.2)
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "protocol/mail/header.hpp"
#include "protocol/time.hpp"

namespace spoold::auth {

enum class DkimResult : std::uint8_t { pass, fail, neutral, policy, temperror, permerror };
const char* text(DkimResult);

enum class KeyType : std::uint8_t { rsa, ed25519 };

struct DkimFault {
  DkimResult result = DkimResult::neutral;
  std::string reason;
};

struct DkimSignature {
  std::string domain, selector, algorithm;  // d=, s=, a=: what there is of them, also with a fault
  std::string identity_domain;              // of i=
  KeyType key_type = KeyType::rsa;
  bool relaxed_header = false, relaxed_body = false;
  std::vector<std::string> fields;   // h=, in lower case
  std::string body_hash, signature;  // octets
  std::optional<std::uint64_t> body_length;
  std::optional<DkimFault> fault;

  static DkimSignature parse(std::string_view value, TimePoint now);
  std::string key_name() const { return selector + "._domainkey." + domain; }
};

struct DkimKey {
  KeyType type = KeyType::rsa;
  std::string octets;  // SubjectPublicKeyInfo or RSAPublicKey; of Ed25519 the key itself (RFC 8463 4)
  bool testing = false;

  /// The key, when it serves this signature; else the reason why not (RFC 6376 6.1.2).
  static tl::expected<DkimKey, std::string> parse(std::string_view txt, const DkimSignature& signature);
};

}  // namespace spoold::auth
