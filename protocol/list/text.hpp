// The texts of a list, its header and footer: UTF-8 with `$name` in it, which stands for something about the list, or about
// the member who gets a copy. `${name}` is the same, `$$` is a '$'.
//
// Failures: one sentence, for `spoolctl list set`: a name that does not exist, control characters, too long. A text that was
// stored is always readable.
#pragma once
#include <functional>
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

/// The value of a `$name` that is no name of the list's; nothing: there is none.
using ValueOf = std::function<std::optional<std::string>(std::string_view name)>;
/// The text with all its names filled in; a name without a value stays as it is written. Line ends become CRLF.
std::string filled(const List& list, std::string_view text, const ValueOf& value);
/// The first `$name` of the text for which neither the list nor `known` has a value; empty: none.
std::string unknown_name(std::string_view text, const std::function<bool(std::string_view)>& known);

}  // namespace spoold::list
