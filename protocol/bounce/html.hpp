// The words of an HTML text, with a line end where the page shows one; what is in angle brackets as an entity is in
// angle brackets again. Not a parser of HTML: enough to read what a mail system says. Linear, at most `most` octets.
#pragma once
#include <string>
#include <string_view>

namespace spoold::bounce {

std::string text_of_html(std::string_view html, std::size_t most);

}  // namespace spoold::bounce
