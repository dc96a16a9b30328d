// The canonical forms of DKIM (RFC 6376 3.4): header fields as text, the body as a stream.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "protocol/mail/header.hpp"

namespace spoold::auth {

/// SHA-256 from outside: protocol/ has no cryptography.
class Digest {
 public:
  virtual ~Digest() = default;
  virtual void update(std::string_view octets) = 0;
  virtual std::string finish() = 0;  // 32 octets; once
  virtual std::unique_ptr<Digest> copy() const = 0;
};
using NewDigest = std::function<std::unique_ptr<Digest>()>;

/// With its line end. `simple` is the field as it came.
std::string canonical_field(const mail::Field& field, bool relaxed);
void append_canonical(std::string& out, const mail::Field& field, bool relaxed);
/// A signature's own field: the value of b= taken out, without a line end (3.5, 3.7).
std::string canonical_signature(const mail::Field& field, bool relaxed);

/// The fields of a header by name, as signatures pick them.
class SignedFields {
 public:
  /// The fields must outlive it.
  explicit SignedFields(const std::vector<mail::Field>& fields);
  /// Those that h= names (`names`, in lower case), each name's from the bottom up (5.4.2), and the signature's own field: what
  /// is signed. Linear in the header, whatever `names` says.
  std::string of(const std::vector<std::string>& names, bool relaxed, const mail::Field* own) const;

 private:
  std::unordered_map<std::string, std::vector<const mail::Field*>>
      by_name_;  // in lower case, the lowest first
};

/// Hashes the canonical form of a body that comes in pieces of any size, with CRLF line ends.
class BodyHash {
 public:
  /// `limit`: so many octets of the canonical form (l=); absent: all.
  BodyHash(bool relaxed, std::optional<std::uint64_t> limit, const NewDigest& digest);
  BodyHash(BodyHash&&) = default;

  void update(std::string_view octets);
  /// Of all so far: for bodies that begin in the same way. What one holds back is hashed by each of its copies: hash_now() before.
  BodyHash copy() const { return *this; }
  void hash_now();
  /// Once. The hash, or nothing: the body is shorter than the limit.
  std::optional<std::string> finish();

  bool relaxed() const { return relaxed_; }
  std::optional<std::uint64_t> limit() const { return limit_; }

 private:
  BodyHash(const BodyHash&);
  void put(std::string_view octets);
  void put_pending();

  const bool relaxed_;
  const std::optional<std::uint64_t> limit_;
  std::unique_ptr<Digest> digest_;
  std::string buffer_;
  std::uint64_t size_ = 0;           // of the canonical form so far
  std::uint64_t pending_lines_ = 0;  // line ends that count when a line with text follows
  bool pending_blank_ = false, pending_cr_ = false;
};

}  // namespace spoold::auth
