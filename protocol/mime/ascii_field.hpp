// Header fields with octets above 127, written for a host that takes none: encoded words (RFC 2047) in text,
// display names and comments, RFC 2231 in parameters. Where neither is allowed (an address, a Message-ID) there
// is no way to write it.
#pragma once
#include <optional>
#include <string>

#include "protocol/mail/header.hpp"

namespace spoold::mime {

/// The whole field in ASCII, its line end included, folded anew where it was encoded; nothing: it cannot be.
std::optional<std::string> ascii_field(const mail::Field& field);

}  // namespace spoold::mime
