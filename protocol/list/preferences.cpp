#include "protocol/list/preferences.hpp"

#include <algorithm>
#include <array>

#include "protocol/list/settings_table.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/rfc3339.hpp"

namespace spoold::list {
namespace {

using Read = tl::expected<void, std::string>;

Read read_choice(std::optional<bool>& value, std::string_view text) {
  if (text == "default") {
    value.reset();
    return {};
  }
  bool flag = false;
  if (auto read = read_flag(flag, text); !read) return tl::unexpected(read.error() + ", or default");
  value = flag;
  return {};
}
std::string print_choice(const std::optional<bool>& value) {
  return value ? print_flag(*value) : std::string();
}

/// "2026-12-24" is the begin of that day, UTC.
std::optional<TimePoint> time_of(std::string_view text) {
  if (text.size() == 10) return parse_rfc3339(std::string(text) + "T00:00:00Z");
  return parse_rfc3339(text);
}

Read read_vacation(Preferences& p, std::string_view text) {
  if (text == "default" || text == "off" || text.empty()) {
    p.away_from = p.away_until = {};
    return {};
  }
  const std::size_t dots = text.find("..");
  const std::string_view first = dots == text.npos ? std::string_view() : text.substr(0, dots),
                         last = dots == text.npos ? text : text.substr(dots + 2);
  const auto from = first.empty() ? TimePoint{} : time_of(first), until = time_of(last);
  if (!from || !until)
    return tl::unexpected(
        "'" + std::string(text) +
        "' is no vacation: expected FROM..UNTIL, UNTIL or off, with times such as 2026-12-24 or "
        "2026-12-24T18:00:00+01:00");
  if (*until <= *from || *until <= TimePoint{})
    return tl::unexpected("'" + std::string(text) + "': the vacation ends before it begins");
  p.away_from = std::max(*from, TimePoint{});
  p.away_until = *until;
  return {};
}
std::string print_vacation(const Preferences& p) {
  if (!p.has_vacation()) return {};
  return (p.away_from == TimePoint{} ? std::string() : rfc3339(p.away_from)) + ".." + rfc3339(p.away_until);
}

constexpr auto choice = "true | false | default";
constexpr std::array<PreferenceKey, 4> keys = {{
    {"own_posts", choice, "whether he gets his own posts",
     [](Preferences& p, std::string_view t) { return read_choice(p.own_posts, t); },
     [](const Preferences& p) { return print_choice(p.own_posts); }},
    {"avoid_duplicates", choice, "no post of which To or Cc names one of his addresses: he gets it directly",
     [](Preferences& p, std::string_view t) { return read_choice(p.avoid_duplicates, t); },
     [](const Preferences& p) { return print_choice(p.avoid_duplicates); }},
    {"language", "a tag | default", "of the letters that he gets",
     [](Preferences& p, std::string_view t) -> Read {
       if (t != "default" && !is_language(t))
         return tl::unexpected("'" + std::string(t) +
                               "' is no language: expected a tag such as en, de, pt-BR, or default");
       p.language = t == "default" ? std::string_view() : t;
       return {};
     },
     [](const Preferences& p) { return p.language; }},
    {"vacation", "FROM..UNTIL | UNTIL | off",
     "nothing is delivered in that time; what is delivered is delivered again after it", read_vacation,
     print_vacation},
}};

}  // namespace

Preferences layered(Preferences member, const Preferences& user) {
  if (!member.own_posts) member.own_posts = user.own_posts;
  if (!member.avoid_duplicates) member.avoid_duplicates = user.avoid_duplicates;
  if (member.language.empty()) member.language = user.language;
  if (!member.has_vacation()) member.away_from = user.away_from, member.away_until = user.away_until;
  return member;
}

std::span<const PreferenceKey> preference_keys() {
  return keys;
}

PreferenceTexts texts_of(const Preferences& preferences) {
  PreferenceTexts texts;
  for (const PreferenceKey& key : keys)
    if (std::string text = key.print(preferences); !text.empty())
      texts.emplace_back(key.name, std::move(text));
  return texts;
}

tl::expected<void, std::string> set(Preferences& preferences, std::string_view name, std::string_view text) {
  const auto key = std::ranges::find(keys, name, &PreferenceKey::name);
  if (key == keys.end())
    return tl::unexpected("there is no preference '" + std::string(name) + "': " + preference_names());
  Preferences changed = preferences;
  if (auto read = key->read(changed, text); !read)
    return tl::unexpected(std::string(name) + ": " + read.error());
  preferences = std::move(changed);
  return {};
}

tl::expected<Preferences, std::string> with(Preferences before, const PreferenceTexts& texts) {
  for (const auto& [name, text] : texts)
    if (auto done = set(before, name, text); !done) return tl::unexpected(done.error());
  return before;
}

std::string preference_names() {
  std::string names;
  for (const PreferenceKey& key : keys) names.append(names.empty() ? "" : ", ").append(key.name);
  return names;
}

bool is_language(std::string_view text) {
  return !text.empty() && text.size() <= 16 &&
         std::ranges::all_of(text, [](char c) { return mail::is_alpha(c) || mail::is_digit(c) || c == '-'; });
}

}  // namespace spoold::list
