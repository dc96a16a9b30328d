// Internationalised domains as people write them, "jörg@bücher.example", become A-labels where texts with addresses
// enter by an operator's hand (protocol/mail/idna.hpp). Inside, and on the wire, domains are
// A-labels only.
#pragma once
#include <string>
#include <string_view>

namespace spoold::server {

/// Every domain behind an '@' in `text` that holds UTF-8 beyond ASCII, as A-labels. What cannot be converted
/// stays as it is: the parser of addresses says what is wrong with it.
std::string ascii_domains(std::string_view text);

}  // namespace spoold::server
