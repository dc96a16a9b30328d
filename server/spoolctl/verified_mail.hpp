// A mail on standard input, verified: by verbs that judge it and by those that show what a list makes of it.
#pragma once
#include <string>
#include <vector>

#include "protocol/auth/verified.hpp"
#include "protocol/mail/header.hpp"
#include "server/auth/asker.hpp"

namespace spoold::server::admin {

/// Throws std::runtime_error: there are limits.
mail::Header header_of(std::string_view mail);
/// As A-labels, without the final dot. Throws Usage.
std::string dns_domain(const std::string& written);

std::vector<auth::DkimVerdict> verified_signatures(const std::string& mail, const mail::Header& header,
                                                   TimePoint now, Asker& asker);
/// DMARC, by what SPF and DKIM have found.
void judge_author(auth::Verified& found, const mail::Header& header, Asker& asker);

}  // namespace spoold::server::admin
