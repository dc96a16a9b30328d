// Domains and address literals as RFC 5321 4.1.2 and 4.1.3 write them: labels of letters, digits and hyphens.
// Internationalised domains are A-labels (xn--...) only. Each check answers with nothing when it is
// well-formed, else with one sentence that says what is wrong.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace spoold::mail {

std::optional<std::string> domain_fault(std::string_view domain);
/// The same, but '_' passes: RFC 5321 has none in a domain, the DNS has. Mail comes from such domains,
/// clients name themselves so, and answers go there.
std::optional<std::string> mail_domain_fault(std::string_view domain);
/// With its brackets: [192.0.2.1], [IPv6:2001:db8::1].
std::optional<std::string> address_literal_fault(std::string_view literal);

}  // namespace spoold::mail
