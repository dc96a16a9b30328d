// "did you mean ...?": the closest of some words by edit distance (Damerau-Levenshtein, adjacent swaps count
// one).
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace spoold::conf {

/// The closest candidate within a third of the word's length (at least 1, at most 3), or empty.
std::string near_miss(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace spoold::conf
