// Text for people in a structured field: a display name or a list's description (RFC 5322 phrase, RFC 2047 5
// (3)).
#pragma once
#include <string>
#include <string_view>

namespace spoold::mail {

/// `text` (UTF-8 without line ends) as a phrase: words as they are, a quoted string, or encoded words of at
/// most 75 characters on folded lines when it is not ASCII or too long for one line. Empty for empty or blank
/// text.
std::string phrase(std::string_view text);
/// `text` as encoded words, on as many folded lines as it needs (RFC 2047).
std::string encoded_words(std::string_view text);

}  // namespace spoold::mail
