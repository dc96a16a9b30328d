// Transfer encodings written and undone (RFC 2045 6.7 and 6.8), and encoded words read (RFC 2047). What is decoded is looked
// at and not sent on. Octets stay octets: no character set is converted.
//
// Guarantees: one pass; at most `most` octets come out; what is not well-formed stays as it is (quoted-printable, encoded
// words) or is skipped (base64). See also: parts.hpp, seven_bit.hpp.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace spoold::mime {

/// `encoding`: Part::encoding. An unknown one leaves the octets as they are.
std::string decoded(std::string_view body, std::string_view encoding, std::size_t most);

/// A field's value with its folding undone and its encoded words decoded.
std::string decoded_words(std::string_view value, std::size_t most);

/// Appends `text`, whose line ends are CRLF, as quoted-printable. `again`: `text` is quoted-printable already, but has octets
/// above 127; only these are encoded.
void append_quoted(std::string& out, std::string_view text, bool again = false);
/// Appends `text` as lines of base64. The last line is ended when the last line of `text` is.
void append_base64(std::string& out, std::string_view text);

}  // namespace spoold::mime
