// Settings whose value is one word of some: read and printed. Included by the tables of settings only.
#pragma once
#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace spoold::list {

template <class Enum>
struct Word {
  std::string_view text;
  Enum value;
};

/// `later`: words of the contract that nothing stands behind yet.
template <class Enum, std::size_t N>
tl::expected<void, std::string> read_word(Enum& value, std::string_view text,
                                          const std::array<Word<Enum>, N>& words,
                                          std::initializer_list<std::string_view> later = {}) {
  std::string expected;
  for (const auto& word : words) {
    if (word.text == text) {
      value = word.value;
      return {};
    }
    expected += (expected.empty() ? "" : ", ") + std::string(word.text);
  }
  if (std::find(later.begin(), later.end(), text) != later.end())
    return tl::unexpected("'" + std::string(text) + "' is known, but not built yet; now: " + expected);
  return tl::unexpected("'" + std::string(text) + "' is none of: " + expected);
}

template <class Enum, std::size_t N>
std::string print_word(Enum value, const std::array<Word<Enum>, N>& words) {
  for (const auto& word : words)
    if (word.value == value) return std::string(word.text);
  return {};
}

}  // namespace spoold::list
