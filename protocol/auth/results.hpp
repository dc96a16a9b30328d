// The Authentication-Results field of a message (RFC 8601; RFC 6008 for header.b, RFC 9989 9.1 for polrec), and who its author
// is for DMARC (RFC 9989 5.3.1).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "protocol/auth/dkim.hpp"
#include "protocol/auth/dmarc.hpp"
#include "protocol/auth/spf.hpp"

namespace spoold::auth {

/// The one domain of all addresses in From, as in the message; empty: there is none, or several.
std::string author_domain(const mail::Header& header);

/// The domains that SPF and DKIM vouch for.
std::vector<Identifier> identifiers(const SpfVerdict&, const std::vector<DkimVerdict>&);

/// The whole field, folded, with its last line end. `helo`: SPF judged the name in HELO, because the reverse path is empty.
std::string authentication_results(std::string_view authserv_id, const SpfVerdict&, bool helo,
                                   const std::vector<DkimVerdict>&, const DmarcVerdict&);

}  // namespace spoold::auth
