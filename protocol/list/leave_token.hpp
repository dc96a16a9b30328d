// The address that ends one membership (for RFC 8058): whoever writes to it, whatever the mail says, takes this member off
// the list. It stands in List-Unsubscribe of his copies.
//
//   test-leave+<28 of base32>@lists.example      or leave+<28 of base32>@ where that passes 64 octets
//
// The 28 characters are 17 octets: version and kind 1, list 4, member 5 (big-endian), tag 7: the begin of HMAC-SHA-256 of the ten
// octets before it. There is no row in the store, and no end of its time: the link in an old mail still works. It names a membership,
// not an address: who left and joined again has another one. Pure: the secret is inside the Hmac.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "protocol/list/verp.hpp"

namespace spoold::list {

/// Of member 0 (a recipient added by hand) the plain address, which asks first.
std::string leave_address(const List& list, MemberId member, char delimiter, const Hmac& hmac);
/// The same as a mailto URL, without angle brackets.
std::string leave_url(const List& list, MemberId member, char delimiter, const Hmac& hmac);

struct Leaving {
  ListId list = 0;
  MemberId member = 0;
};
/// `detail`: what stands behind `-leave+` or `leave+` (SubAddress::detail), in any case. Nothing: it was not made here.
std::optional<Leaving> decode_leave(std::string_view detail, const Hmac& hmac);

}  // namespace spoold::list
