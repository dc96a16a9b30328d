// SASLprep (RFC 4013), which makes the same octets of a password however it was typed: NFKC, spaces of all kinds as one,
// nothing invisible. libidn does it (stringprep, RFC 3454), which is a function of its argument alone.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spoold::mail {

/// RFC 3454 section 7: what is kept holds no character that Unicode 3.2 did not know, as later forms of it may differ; what
/// is compared with it may.
enum class Prepared : std::uint8_t { to_keep, to_compare };

/// None: it is no UTF-8, has characters that SASLprep prohibits, control characters among them, or nothing is left of it.
/// Printable ASCII comes back as it is.
std::optional<std::string> saslprep(std::string_view text, Prepared);

}  // namespace spoold::mail
