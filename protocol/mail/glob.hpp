// Patterns as operators write them: '*' stands for anything, '?' for one octet; case does not matter.
#pragma once
#include <string_view>

namespace spoold::mail {

/// Takes time in proportion to the pattern times the text at worst.
bool glob(std::string_view pattern, std::string_view text);

}  // namespace spoold::mail
