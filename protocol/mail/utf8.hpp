// UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once
#include <cstddef>
#include <string_view>

namespace spoold::mail {

/// Valid, and without control characters (C0, DEL, C1).
bool is_utf8_text(std::string_view text);
bool is_utf8(std::string_view text);

/// Length of the sequence at the front of a text that is not empty, 0 when it is not valid; its code point in
/// `point`.
std::size_t decode_utf8(std::string_view text, char32_t& point);

/// C0, DEL, C1, and the marks that turn the direction of the text behind them (U+202A to U+202E, U+2066 to U+2069):
/// not to be shown as they are.
bool obeyed_by_terminals(char32_t point);

/// The front of it, at most `octets` long, that does not end inside a character.
std::string_view utf8_front(std::string_view text, std::size_t octets);

}  // namespace spoold::mail
