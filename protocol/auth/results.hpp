// The Authentication-Results field of a message (RFC 8601; RFC 6008 for header.b, RFC 9989 9.1 for polrec), and who its author
// is for DMARC (RFC 9989 5.3.1).
#pragma once
#include <string>
#include <string_view>

#include "protocol/auth/verified.hpp"
#include "protocol/mail/header.hpp"

namespace spoold::auth {

/// The one domain of all addresses in From, as in the message; empty: there is none, or several.
std::string author_domain(const mail::Header& header);

/// The whole field, folded, with its last line end.
std::string authentication_results(std::string_view authserv_id, const Verified&);

/// Does an Authentication-Results field claim to be of this server? Then it is removed from a stranger's message (RFC 8601 5).
/// A name in quotes, behind comments or in other case is the same name; a field whose name cannot be read claims nothing.
bool claims(const mail::Field&, std::string_view authserv_id);

}  // namespace spoold::auth
