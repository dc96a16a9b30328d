// VERP: the reverse path of one member's copy of a post, and back.
//
//   classic  test-bounces+aperson=example.com@lists.example     Mailman's form, decoded from the *last* '='
//   signed   test-bounces+aperson=example.com=<8 of base32>@lists.example
//   opaque   test-bounces+b=<28 of base32>@lists.example        or bounces+b=<28 of base32>@ when that passes
//   64 octets
//
// The 28 characters are 17 octets: version and kind 1, list 4, member 5 (big-endian), tag 7: the begin of
// HMAC-SHA-256(secret, the ten octets before it, then the epoch in 4). The 8 characters of signed are the first 5 octets of
// HMAC-SHA-256(secret, 0x12, list in 4, the address in lower case, the epoch in 4). An epoch is 28 days; the current one
// and the two before verify. Guarantees: an encoded path is at most 64 octets of local part and 254 in all,
// ASCII, never quoted; what classic or signed cannot say so is encoded opaque; decode(encode(x)) is x without regard to
// case. No form names the post or the day. Pure: the secret is inside the Hmac that the caller passes.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/list/settings.hpp"

namespace spoold::list {

using Hmac = std::function<std::array<std::uint8_t, 32>(std::string_view data)>;  // HMAC-SHA-256 under the
                                                                                  // site's secret

std::uint32_t verp_epoch(TimePoint);

/// Made once per post; append() is called for each recipient and only appends to the caller's string.
class VerpEncoder {
 public:
  /// The list's address and the Hmac are copied.
  VerpEncoder(const List& list, VerpFormat format, char delimiter, std::uint32_t epoch, Hmac hmac);

  /// `address`: Mailbox text. Member 0 (a recipient added by hand): the opaque form then names nobody.
  void append(std::string& out, std::string_view address, MemberId member) const;

 private:
  bool append_classic(std::string& out, std::string_view address) const;  // or signed
  void append_opaque(std::string& out, MemberId member) const;

  ListId list_;
  VerpFormat format_;
  std::uint32_t epoch_;
  Hmac hmac_;
  std::string prefix_;         // "test-bounces+"
  std::string opaque_prefix_;  // "test-bounces+b=" or "bounces+b="
  std::string suffix_;         // "@lists.example"
};

/// The plain envelope sender of a list's posts: test-bounces@lists.example.
std::string bounces_address(const List&);
/// Of those who answer for a list: test-owner@lists.example.
std::string owner_address(const List&);

struct DecodedVerp {
  enum class Kind {
    classic,  // address is set
    opaque,   // list and member are set, the tag verified
    signed_,  // address is set, the tag verified
    forged,   // opaque or signed in shape, but the tag does not verify: touch nobody
  } kind;
  std::string address;  // Mailbox key
  ListId list = 0;
  MemberId member = 0;
};

/// `detail`: what stood behind `-bounces+` or `bounces+` (SubAddress::detail). `list`: whose address it was; 0: it names none, and
/// no signed form verifies. Nothing: no form of ours.
std::optional<DecodedVerp> decode_verp(std::string_view detail, std::uint32_t epoch, const Hmac& hmac,
                                       ListId list = 0);
/// Opaque or signed in shape: who has such an address was sent mail by this server, if it verifies.
bool has_tag(std::string_view detail);

}  // namespace spoold::list
