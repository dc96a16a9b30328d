// The rows of the table of settings that say how people join and leave by mail (settings_table.hpp).
#include <algorithm>
#include <array>

#include "protocol/list/settings_table.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::list {
namespace {

constexpr std::array<std::string_view, 4> joining_words = {"open", "confirm", "moderate", "confirm+moderate"};
constexpr std::array<std::string_view, 2> leaving_words = {"open", "confirm"};

/// `words` stand in the order of the enumerators.
template <class Enum, std::size_t N>
tl::expected<void, std::string> read_word(Enum& value, std::string_view text,
                                          const std::array<std::string_view, N>& words) {
  std::string expected;
  for (std::size_t i = 0; i < N; ++i) {
    if (words[i] == text) {
      value = static_cast<Enum>(i);
      return {};
    }
    expected += (i == 0 ? "" : ", ") + std::string(words[i]);
  }
  return tl::unexpected("'" + std::string(text) + "' is none of: " + expected);
}

tl::expected<void, std::string> read_language(Settings& settings, std::string_view text) {
  const bool tag = !text.empty() && text.size() <= 16 && std::ranges::all_of(text, [](char c) {
    return mail::is_alpha(c) || mail::is_digit(c) || c == '-';
  });
  if (!tag)
    return tl::unexpected("'" + std::string(text) + "' is no language: expected a tag such as en, de, pt-BR");
  settings.language = text;
  return {};
}

}  // namespace

const std::vector<SettingKey>& request_setting_keys() {
  static const std::vector<SettingKey> keys = {
      {"subscribe", "open | confirm | moderate | confirm+moderate",
       "how somebody joins by mail: at once, by a token that he sends back, by leave of the owners, or both",
       [](Settings& s, std::string_view t) { return read_word(s.subscribe, t, joining_words); },
       [](const Settings& s) { return std::string(joining_words[static_cast<std::size_t>(s.subscribe)]); }},
      {"unsubscribe", "open | confirm",
       "how a member leaves by mail: at once, or by a token that he sends back",
       [](Settings& s, std::string_view t) { return read_word(s.unsubscribe, t, leaving_words); },
       [](const Settings& s) { return std::string(leaving_words[static_cast<std::size_t>(s.unsubscribe)]); }},
      {"language", "en | de | a tag",
       "of the letters that the list sends; without texts in it they are in English", read_language,
       [](const Settings& s) { return s.language; }},
  };
  return keys;
}

}  // namespace spoold::list
