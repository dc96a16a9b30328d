// Internationalised domains as people write them, "jörg@bücher.example", become A-labels where addresses
// enter: by an operator's hand, and by MAIL and RCPT (the dialog is given ascii_domain(): protocol/ links no library for it).
// IDNA 2008 with UTS 46 mapping, libidn2. Inside, and on the wire, domains are A-labels only.
#pragma once
#include <string>
#include <string_view>

namespace spoold::server {

/// Every domain behind an '@' in `text` that holds UTF-8 beyond ASCII, as A-labels. What cannot be converted
/// stays as it is: the parser of addresses says what is wrong with it.
std::string ascii_domains(std::string_view text);
/// One domain, which is all of it.
std::string ascii_domain(const std::string& domain);

}  // namespace spoold::server
