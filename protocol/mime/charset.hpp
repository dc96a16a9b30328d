// Text in another character set, by iconv.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace spoold::mime {

/// UTF-8 text in this character set; nothing: there is no such set, it cannot hold the text, or ASCII text is not
/// itself in it, so that nothing can be put beside text in it (UTF-16, EBCDIC).
std::optional<std::string> in_charset(std::string_view utf8, std::string_view charset);

/// Text of this character set in UTF-8; nothing: there is no such set, or the text is not of it.
std::optional<std::string> utf8_of(std::string_view text, std::string_view charset);

}  // namespace spoold::mime
