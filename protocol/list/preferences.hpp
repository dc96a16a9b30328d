// What one person wishes for his own mail: his own posts, duplicates, the language of letters, a vacation. A field that is not set is
// decided by the next layer: the member, then his user (a person with several addresses), then the list's setting of that name.
//
// The table preference_keys() is the one place for name, values and meaning of each: `spoolctl member set`, `spoolctl address set`,
// the command `set` by mail and their help go through it. The delivery mode is no preference: each membership names its own.
// Times are arguments: a vacation begins and ends by the clock of whoever expands a post, and nothing has to be written for it.
// Failures: one sentence: what is wrong, what is expected.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "protocol/time.hpp"

namespace spoold::list {

struct Preferences {
  std::optional<bool> own_posts, avoid_duplicates;
  std::string language = {};            // a tag; empty: of the next layer
  TimePoint away_from{}, away_until{};  // nothing is delivered from..until; until 1970: there is no vacation
  bool has_vacation() const { return away_until != TimePoint{}; }
  bool away(TimePoint now) const { return away_from <= now && now < away_until; }
  bool empty() const { return *this == Preferences{}; }
  bool operator==(const Preferences&) const = default;
};

/// What counts for a member: his own preferences, and where they say nothing those of his user.
Preferences layered(Preferences member, const Preferences& user);

struct PreferenceKey {
  std::string_view name;
  std::string_view values;   // what may be written: "true | false | default"
  std::string_view meaning;  // one line
  tl::expected<void, std::string> (*read)(Preferences&, std::string_view text);
  std::string (*print)(const Preferences&);  // empty: not set
};
std::span<const PreferenceKey> preference_keys();

/// Names of preferences and their texts, in the order in which they are set.
using PreferenceTexts = std::vector<std::pair<std::string, std::string>>;
PreferenceTexts texts_of(const Preferences&);  // those that are set
/// On failure `preferences` is unchanged. `default` takes a preference back.
tl::expected<void, std::string> set(Preferences& preferences, std::string_view name, std::string_view text);
/// The preferences after these texts; the first text that is wrong is the failure.
tl::expected<Preferences, std::string> with(Preferences before, const PreferenceTexts& texts);
/// "own_posts, avoid_duplicates, ...": for sentences about a name that is none.
std::string preference_names();

/// Whether this may be the language of letters: "en", "pt-BR".
bool is_language(std::string_view text);

}  // namespace spoold::list
