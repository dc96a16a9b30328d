// A message with octets above 127 for a next hop that does not offer 8BITMIME (RFC 6152 3): the same content in
// octets below 128. Each part that needs it becomes quoted-printable or base64, whichever is shorter; header
// fields become encoded words where they may; what nobody is shown (outside the parts of a multipart) loses
// them.
//
// Guarantees: parts that are ASCII already stay byte for byte. Failures, in words for a 5.6.3: it is signed
// (DKIM-Signature, multipart/signed, S/MIME), so that any change would break the signature; larger than
// most_converted; or it has something that cannot be written in ASCII. See also: parts.hpp, ascii_field.hpp.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace spoold::mime {

/// The whole of it is in memory while it is converted.
constexpr std::uint64_t most_converted = 10 << 20;

/// `message`: whole, with CRLF line ends.
tl::expected<std::string, std::string> to_seven_bit(std::string_view message);

}  // namespace spoold::mime
