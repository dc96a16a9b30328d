// Addresses in the words of a report, spelled as they are there. What is found is well-formed (mail/mailbox.hpp) and
// has a domain of two labels at least; blanks, brackets, quotes, "SMTP:" and the like around it are no part of it.
// Empty: there is none. Linear in the text.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace spoold::bounce {

/// All of `text`, but for what is around it.
std::string whole_address(std::string_view text);
/// The one that `text` begins with: "anne@example.net: user unknown", "<anne@example.net>... no".
std::string first_address(std::string_view text);
/// Between the first angle brackets that hold one.
std::string angle_address(std::string_view text);
/// Every address in `text`, at most `most`.
std::vector<std::string> addresses_in(std::string_view text, std::size_t most);

}  // namespace spoold::bounce
