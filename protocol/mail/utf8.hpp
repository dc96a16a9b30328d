// UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once
#include <string_view>

namespace spoold::mail {

/// Valid, and without control characters (C0, DEL, C1).
bool is_utf8_text(std::string_view text);
bool is_utf8(std::string_view text);

}  // namespace spoold::mail
