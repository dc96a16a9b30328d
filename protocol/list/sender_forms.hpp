// Whose copy of a list's post an envelope sender belongs to, in the forms that list managers write. Ours is verp.hpp; the
// others are read while a site migrates, and in reports about mail that was sent before.
//
//   ours, Mailman    test-bounces+anne=north.example@lists.example
//   mlmmj            test+bounces-17-anne=north.example@lists.example
//   ezmlm            test-return-17-anne=north.example@lists.example, with warn-COOKIE and probe-COOKIE for the number
//   Sympa            bounce+anne==a==north.example==test@lists.example
//   Postfix XVERP    owner-test+anne=north.example@lists.example
//
// Guarantees: the member is a well-formed address, its domain behind the last '='; nothing where no form fits. An opaque
// form names its list, and its member only to whoever has the secret (decode_verp). Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spoold::list {

/// Whose form it is. The values are bits of Settings::verp_accept; `classic` is ours and Mailman's.
enum class CopyForm : std::uint8_t { classic = 1, mlmmj = 2, ezmlm = 4, sympa = 8, xverp = 16 };

struct SenderOfCopy {
  std::string list;    // "test@lists.example", lower case; empty: the form does not say
  std::string member;  // an address; empty: all members' (test-bounces@), or opaque
  CopyForm form = CopyForm::classic;
};

std::optional<SenderOfCopy> sender_of_copy(std::string_view envelope_sender);

}  // namespace spoold::list
