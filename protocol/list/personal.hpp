// What differs between the copies of one post (personalize = full, one_click): the values that are written in its blanks.
//
// A post is cooked once, with blanks (mail::Blank) where a member's own values belong; they are kept with the message. Each
// copy is those shared octets and this member's values, made when the copy is about to go out. So a copy costs its own octets,
// and no member's value can be in another's copy. Guarantees: a value has no line end and no control character, whatever a
// member's name is, and no line of it begins with a dot; in quoted-printable it is lines of at most 78.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/mail/draft.hpp"

namespace spoold::list {

/// Numbers are in the store: none is given a new meaning.
enum class Value : mail::Blank {
  none = 0,
  user_address = 1,       // as the member is subscribed
  user_name = 2,          // empty when he gave none
  user_delivered_to = 3,  // as RCPT names him
  user_name_or_address = 4,
  signatures =
      5,  // DKIM-Signature fields: the first blank of a message that we sign (server/delivery/signing.hpp)
  leave_url = 6,              // leave_token.hpp
  signatures_and_author = 7,  // as `signatures`; also by the keys of the domain in From
  dkim2 = 8,                  // as `signatures`, with a DKIM2-Signature
  dkim2_and_author = 9,       // as `signatures_and_author`, with a DKIM2-Signature
  instance_hashes = 10,       // in our Message-Instance: the value of h= (auth/dkim2_make.hpp)
};
/// The blank stands in a part that is quoted-printable.
constexpr mail::Blank quoted_printable = 0x80;

constexpr mail::Blank blank(Value value, bool quoted = false) {
  return static_cast<mail::Blank>(static_cast<mail::Blank>(value) | (quoted ? quoted_printable : 0));
}

/// "user_address" and its other names, without the '$'.
std::optional<Value> value_named(std::string_view name);
/// What a text says where a post is not personalised: "$user_address".
std::string_view name_of(Value value);
/// It may hold octets above 127: a name is UTF-8.
constexpr bool may_be_eight_bit(Value value) {
  return value == Value::user_name || value == Value::user_name_or_address;
}

/// Whose copy it is.
struct Reader {
  std::string_view address;         // of the member
  std::string_view name;            // UTF-8
  std::string_view delivered_to;    // of RCPT
  std::string_view leave_url = {};  // leave_token.hpp
};
/// A blank that this version does not know is empty.
std::string written(mail::Blank blank, const Reader& reader);

}  // namespace spoold::list
