// Transfer encodings (RFC 2045 6.7 and 6.8), and encoded words read (RFC 2047). What is decoded is looked at and not sent on. Octets stay octets: no character set is converted.
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

/// Text with CRLF line ends, as quoted-printable. `again`: it is that already, with octets in it that it must not have.
void append_quoted(std::string& out, std::string_view text, bool again = false);
/// Lines of base64, the last one with a line end when the text ends with one.
void append_base64(std::string& out, std::string_view text);

}  // namespace spoold::mime
