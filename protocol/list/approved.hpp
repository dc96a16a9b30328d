// A post that somebody approves who knows the list's moderator password: `Approved: PASSWORD` in its header (Mailman's form).
// Members never get the field (cook.hpp removes it). Of the password the setting keeps only its HMAC-SHA-256 under the site's
// secret, with the list's address: the setting of one list is worth nothing to another.
#pragma once
#include <string>
#include <string_view>

#include "protocol/list/verp.hpp"
#include "protocol/mail/header.hpp"

namespace spoold::list {

/// What `moderator_password` keeps: "hmac:" and 64 hexadecimal digits.
std::string sealed_password(std::string_view list_address, std::string_view password, const Hmac& hmac);
bool is_sealed(std::string_view text);
/// One of Approved, Approve, X-Approved, X-Approve holds it. In constant time for each field.
bool is_approved(const List& list, const mail::Header& header, const Hmac& hmac);

}  // namespace spoold::list
