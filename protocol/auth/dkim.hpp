// The DKIM signatures of one message, verified (RFC 6376 6, RFC 8463): a machine without sockets and without cryptography.
//
//   DkimCheck check(header, now, new_digest);          // when the header is there; it asks for the keys at once
//   check.body(piece); ... check.body_end();           // while the message comes in, one pass for all signatures
//   check.ask(), check.answered()                      // in between or behind (lookups.hpp)
//   while (!check.done())                              // then, on a thread that may compute:
//     if (auto proof = check.next_proof()) check.proved(verify(*proof));
//
// Guarantees: signatures are in the order of their fields, the topmost first. At most most_signatures are looked at, the
// others are `policy`; at most most_keys records of a name are tried. A signature whose body hash does not match costs no
// public-key operation. The work is linear in the header, whatever h= names.
//
// See also: dkim_signature.hpp (which fault is which result).
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/auth/canonical.hpp"
#include "protocol/auth/dkim_signature.hpp"
#include "protocol/auth/lookups.hpp"

namespace spoold::auth {

struct DkimVerdict {
  std::string domain, selector,
      algorithm;          // as the signature has them; may be empty when its syntax is broken
  std::string signature;  // the first letters of b= (RFC 6008)
  DkimResult result = DkimResult::neutral;
  std::string reason;    // of everything but pass
  bool testing = false;  // the key's owner is testing DKIM (t=y)
};

/// One public-key operation: is `signature` one over SHA-256 of `octets`?
struct Proof {
  KeyType type = KeyType::rsa;
  std::string key, signature, octets;
};
enum class Proved : std::uint8_t {
  yes,
  no,
  weak_key,
  no_key,
  unavailable
};  // weak_key: RSA under 1024 bits (RFC 8301 3.2); unavailable: nobody has time to compute it

/// It has a DKIM-Signature field, whatever that is worth.
bool has_signatures(const mail::Header& header);

class DkimCheck {
 public:
  static constexpr std::size_t most_signatures = 10, most_keys = 3;

  /// `header` and the octets that it points into must outlive the check.
  DkimCheck(const mail::Header& header, TimePoint now, const NewDigest& digest);

  void body(std::string_view octets);
  void body_end();

  std::vector<dns::Question> ask() { return lookups_.ask(); }
  void answered(const dns::Question&, dns::Answer);
  /// Behind body_end() and all answers.
  std::optional<Proof> next_proof();
  void proved(Proved);

  /// Nothing is to be asked and nothing to be proved any more.
  bool done() const;
  std::vector<DkimVerdict> verdicts() const;

 private:
  struct One {
    const mail::Field* field = nullptr;
    DkimSignature signature;
    BodyHash* body = nullptr;
    std::deque<DkimKey> keys;  // to be tried
    bool has_keys = false, testing = false;
    std::optional<DkimFault> verdict;  // pass too
  };

  BodyHash* body_hash(const DkimSignature&, const NewDigest&);
  void take_keys(One&, const dns::Answer&);

  SignedFields fields_;
  std::vector<One> all_;
  std::deque<BodyHash> bodies_;
  Lookups lookups_;
  bool ended_ = false;
};

}  // namespace spoold::auth
