// The file names that a part gives itself: `filename` of Content-Disposition (RFC 2183 2.3) and `name` of Content-Type, in
// every form that a reader's program may understand: plain, as encoded words (RFC 2047), with a character set and in
// sections (RFC 2231 3, 4). Whoever forbids files must see what any of these programs sees, so all of them are answered.
//
// Guarantees: one pass over each field; octets stay octets, no character set is converted.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "protocol/mime/parts.hpp"

namespace spoold::mime {

/// Each once, in no special order; none: the part names no file.
std::vector<std::string> file_names(const Part& part);
/// What is behind the last dot, in lower case, without dots and blanks at the end (Windows ignores them); empty: there is none.
std::string extension_of(std::string_view file_name);

}  // namespace spoold::mime
