// The texts of a list, its header and footer: UTF-8 with `$name` in it, which stands for something about the list, or about
// the member who gets a copy. `${name}` is the same, `$$` is a '$'.
//
// Failures: one sentence, for `spoolctl list set`: a name that does not exist, control characters, too long. A text that was
// stored is always readable.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/list/settings.hpp"
#include "protocol/mail/draft.hpp"

namespace spoold::list {

/// Why this cannot be a header or footer; nothing: it can.
std::optional<std::string> text_fault(std::string_view text);

/// The text of this list, with CRLF line ends, the last line's as well; nothing for an empty text. What concerns the member is
/// a blank where `personal`, else it stays as it is written: "$user_name".
std::vector<mail::Own> text_of(const List& list, std::string_view text, bool personal);

}  // namespace spoold::list
