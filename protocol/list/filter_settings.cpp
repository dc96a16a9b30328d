// The rows of the table of settings of the content filter (settings_table.hpp, filter.hpp).
#include <algorithm>

#include "protocol/list/setting_words.hpp"
#include "protocol/list/settings_table.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::list {
namespace {

using Done = tl::expected<void, std::string>;

constexpr std::array<Word<Action>, 3> action_words = {
    {{"reject", Action::reject}, {"hold", Action::hold}, {"discard", Action::discard}}};

/// Words with commas or blanks between them, in lower case, each once. `made` gives a word its form; empty: it is none.
template <class F>
Done read_words(std::vector<std::string>& value, std::string_view text, const char* expected, F made) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(", \n", at), text.size());
    const std::string word = mail::lower(text.substr(at, end - at));
    at = end + 1;
    if (word.empty()) continue;
    std::string form = made(word);
    if (form.empty()) return tl::unexpected("'" + word + "' is not " + expected);
    if (std::ranges::find(words, form) == words.end()) words.push_back(std::move(form));
  }
  value = std::move(words);
  return {};
}

std::string print_words(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

/// RFC 2045 5.1.
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return c > 32 && c < 127 && std::string_view("()<>@,;:\\\"/[]?=*").find(c) == std::string_view::npos;
  });
}

template <std::vector<std::string> FilterRules::*field>
Done read_types(Settings& settings, std::string_view text) {
  return read_words(settings.filter.*field, text, "a media type such as image/png, image/* or image",
                    [](const std::string& word) {
                      const std::size_t slash = word.find('/');
                      const std::string_view kind = std::string_view(word).substr(0, slash);
                      if (!is_token(kind)) return std::string();
                      if (slash == word.npos) return word + "/*";
                      const std::string_view rest = std::string_view(word).substr(slash + 1);
                      return rest == "*" || is_token(rest) ? word : std::string();
                    });
}

Done read_extensions(Settings& settings, std::string_view text) {
  return read_words(settings.filter.extensions, text, "the extension of a file name, such as exe",
                    [](std::string word) {
                      while (word.starts_with('.') || word.starts_with('*')) word.erase(0, 1);
                      const bool part = word.find_first_of("./\\\"*") == word.npos;
                      return part ? word : std::string();
                    });
}

template <std::vector<std::string> FilterRules::*field>
std::string print_list(const Settings& settings) {
  return print_words(settings.filter.*field);
}

}  // namespace

const std::vector<SettingKey>& filter_setting_keys() {
  static const std::vector<SettingKey> keys = {
      {"filter_types", "media types", "parts that members do not get, as image/png, image/*",
       read_types<&FilterRules::types>, print_list<&FilterRules::types>},
      {"pass_types", "media types", "members get only such parts, as text/plain, image/*; none: all others",
       read_types<&FilterRules::pass>, print_list<&FilterRules::pass>},
      {"filter_extensions", "extensions", "files that members do not get, as exe, bat", read_extensions,
       print_list<&FilterRules::extensions>},
      {"filter_action", "reject | hold | discard", "a post of which these leave nothing",
       [](Settings& s, std::string_view t) { return read_word(s.filter.action, t, action_words); },
       [](const Settings& s) { return print_word(s.filter.action, action_words); }},
      {"collapse_alternatives", "true | false",
       "of alternatives of one text (plain and HTML) members get the first",
       [](Settings& s, std::string_view t) { return read_flag(s.filter.collapse_alternatives, t); },
       [](const Settings& s) { return print_flag(s.filter.collapse_alternatives); }},
  };
  return keys;
}

}  // namespace spoold::list
