#include "protocol/mail/saslprep.hpp"

#include <stringprep.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "protocol/mail/utf8.hpp"

namespace spoold::mail {

std::optional<std::string> saslprep(std::string_view text, Prepared how) {
  if (text.empty()) return std::nullopt;
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (std::all_of(text.begin(), text.end(), printable)) return std::string(text);
  // libidn reads up to the first NUL, and trusts that it is UTF-8.
  if (text.find('\0') != text.npos || !is_utf8(text)) return std::nullopt;
  char* made = nullptr;
  const auto flags =
      how == Prepared::to_keep ? STRINGPREP_NO_UNASSIGNED : static_cast<Stringprep_profile_flags>(0);
  if (stringprep_profile(std::string(text).c_str(), &made, "SASLprep", flags) != STRINGPREP_OK)
    return std::nullopt;
  const std::unique_ptr<char, decltype(&std::free)> owned(made, &std::free);
  if (*made == '\0') return std::nullopt;
  return std::string(made);
}

}  // namespace spoold::mail
