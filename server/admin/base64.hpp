// Base64 (RFC 4648 section 4) for octets that travel in JSON.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace spoold::server::admin {

std::string base64_encode(std::string_view);
/// Nothing when it is not base64 (padding included, no line ends).
std::optional<std::string> base64_decode(std::string_view);

}  // namespace spoold::server::admin
