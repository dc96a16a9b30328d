// The parts of a message (RFC 2045, 2046) as offsets into its bytes, which stay as they are: to write the bytes
// between the offsets again gives the same message. What lies in a multipart outside its parts (preamble,
// delimiters, epilogue) is the gaps between them.
//
// Guarantees: parts come in the order of their first octets, a part before those inside it, each inside its
// parent; a missing last delimiter ends at the end of what it is in. Bounded: at most Limits::parts and
// Limits::depth; each octet is looked at once for each multipart around it. Failures: Fault, when a limit is
// passed or a header is too large. See also: seven_bit.hpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "protocol/mail/header.hpp"

namespace spoold::mime {

struct Limits {
  std::size_t parts = 1000, depth = 32;
};

enum class Fault : std::uint8_t { too_many_parts, too_deep, header };
const char* text(Fault);

struct Part {
  std::size_t begin = 0, body = 0, end = 0;  // header and its blank line [begin, body), body [body, end)
  std::size_t parent = 0;                    // its index; that of the message itself: 0
  std::size_t depth = 0;
  bool message = false;  // its header is that of a message: the outermost one, or one inside message/rfc822
  mail::Header header;   // its views point into the bytes
  std::string type;      // "text/plain", lower case, where none is given as RFC 2045 5.2 says
  std::string boundary;  // of a multipart
  std::string encoding;  // lower case; "7bit" where none is given

  bool multipart() const { return !boundary.empty(); }
  /// It holds a message, as it is.
  bool encloses() const;
};

/// `bytes`: a whole message with CRLF line ends.
tl::expected<std::vector<Part>, Fault> parts_of(std::string_view bytes, Limits limits = {});

/// The parameters of a structured field, names in lower case, quotes undone, in their order: of a name that is there twice both.
std::vector<std::pair<std::string, std::string>> parameters(std::string_view value);
/// The value of a parameter of a structured field, its quotes undone; empty when there is none.
std::string parameter(std::string_view value, std::string_view name);

}  // namespace spoold::mime
