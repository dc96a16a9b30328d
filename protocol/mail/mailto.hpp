// mailto URLs (RFC 6068).
#pragma once
#include <string>
#include <string_view>

namespace spoold::mail {

/// "mailto:test-leave%2Bx@lists.example" of "test-leave+x@lists.example": in the local part everything that could mean something
/// else in a URL is written as %XX.
std::string mailto(std::string_view address);

}  // namespace spoold::mail
