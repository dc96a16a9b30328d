// The list's prefix in Subject: "Re: [Test] Hello", where an answer has it already. With `%d` in the prefix stands the
// number of the post.
//
// Guarantees: a subject that has the prefix where it belongs stays byte for byte, so that the author's signature of an
// answer holds. Otherwise what is not the prefix stays as it is written, encoded words and folding too, unless the prefix
// or an answer's "Re:" is inside an encoded word: then the whole is written anew in UTF-8. See also: cook.hpp.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spoold::list {

/// Why this cannot be a prefix; nothing: it can.
std::optional<std::string> prefix_fault(std::string_view prefix);

/// The value of the field Subject, from the blank behind the colon to before its line end; nothing: it stays as it is.
/// `value`: as it came. `post`: the number for `%d`.
std::optional<std::string> with_prefix(std::string_view value, std::string_view prefix, std::uint32_t post);

}  // namespace spoold::list
