// The rows of the table of settings that say how people join and leave by mail (settings_table.hpp).
#include <array>

#include "protocol/list/preferences.hpp"
#include "protocol/list/setting_words.hpp"
#include "protocol/list/settings_table.hpp"

namespace spoold::list {
namespace {

constexpr std::array<Word<JoinBy>, 4> joining_words = {{{"open", JoinBy::open},
                                                        {"confirm", JoinBy::confirm},
                                                        {"moderate", JoinBy::moderate},
                                                        {"confirm+moderate", JoinBy::confirm_and_moderate}}};
constexpr std::array<Word<LeaveBy>, 2> leaving_words = {
    {{"open", LeaveBy::open}, {"confirm", LeaveBy::confirm}}};

tl::expected<void, std::string> read_language(Settings& settings, std::string_view text) {
  if (!is_language(text))
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
       [](const Settings& s) { return print_word(s.subscribe, joining_words); }},
      {"unsubscribe", "open | confirm",
       "how a member leaves by mail: at once, or by a token that he sends back",
       [](Settings& s, std::string_view t) { return read_word(s.unsubscribe, t, leaving_words); },
       [](const Settings& s) { return print_word(s.unsubscribe, leaving_words); }},
      {"language", "en | de | a tag",
       "of the letters that the list sends; without texts in it they are in English", read_language,
       [](const Settings& s) { return s.language; }},
  };
  return keys;
}

}  // namespace spoold::list
