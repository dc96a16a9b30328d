// A domain in UTF-8 (U-labels) as A-labels: IDNA 2008 with the mapping of UTS 46. libidn2 does it, which is a function of its
// argument alone: no I/O, no locale, no state.
#pragma once
#include <string>

namespace spoold::mail {

/// What cannot be converted, and what is ASCII, comes back as it is: domain_fault() says what is wrong with it.
std::string ascii_domain(const std::string& domain);

}  // namespace spoold::mail
