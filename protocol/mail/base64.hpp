// Base64 (RFC 4648 section 4), without line ends: what AUTH says, and octets that travel in JSON.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace spoold::mail {

std::string base64_encode(std::string_view octets);
/// Nothing when it is not base64, whole and padded, or when bits that belong to no octet are set.
std::optional<std::string> base64_decode(std::string_view letters);

}  // namespace spoold::mail
