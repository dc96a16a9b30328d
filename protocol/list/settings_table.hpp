// The one table of a list's settings: name, values, meaning, how a text is read into Settings and printed
// from them. `spoolctl list set`, `list show`, the stored record (names and texts, so that later keys can be
// added) and list export all go through it. To add a key: its field in settings.hpp, its row in
// settings_table.cpp, moderation_settings.cpp or bounce_settings.cpp. Failures: one sentence: what is wrong, what is expected; a near miss is suggested; a
// key of the contract that does nothing yet is "known, but not built yet".
#pragma once
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "protocol/list/settings.hpp"

namespace spoold::list {

struct SettingKey {
  std::string_view name;
  std::string_view values;   // what may be written: "never | personalized | every:N | always"
  std::string_view meaning;  // one line
  tl::expected<void, std::string> (*read)(Settings&, std::string_view text);
  std::string (*print)(const Settings&);
  bool apart = false;  // of RuleTexts: its text has a row of its own in the store
  /// What `read` does not look for because it takes long (expressions). Absent: nothing.
  std::optional<std::string> (*fault)(std::string_view text) = nullptr;
};
const std::vector<SettingKey>& setting_keys();
const std::vector<SettingKey>& align_setting_keys();       // of them: align_settings.cpp
const std::vector<SettingKey>& archive_setting_keys();     // of them: archive_settings.cpp
const std::vector<SettingKey>& filter_setting_keys();      // of them: filter_settings.cpp
const std::vector<SettingKey>& bounce_setting_keys();      // of them: bounce_settings.cpp
const std::vector<SettingKey>& digest_setting_keys();      // of them: digest_settings.cpp
const std::vector<SettingKey>& request_setting_keys();     // of them: request_settings.cpp
const std::vector<SettingKey>& moderation_setting_keys();  // of them: moderation_settings.cpp

/// Of keys that are true or false.
tl::expected<void, std::string> read_flag(bool& value, std::string_view text);
std::string print_flag(bool value);
std::string points_text(std::uint32_t half_points);  // "2.5"

/// Addresses with commas or blanks between them.
tl::expected<void, std::string> read_addresses(std::vector<std::string>& value, std::string_view text);
std::string print_addresses(const std::vector<std::string>& addresses);

/// Names of settings and their texts.
using KeyTexts = std::vector<std::pair<std::string, std::string>>;
/// What `style=NAME` sets: discussion (the defaults), announcement, transparent.
tl::expected<KeyTexts, std::string> style(std::string_view name);

/// Sets one key from its text; on failure `settings` is unchanged. `was_set`: the text has been looked at before, by this
/// function: what takes long is not looked at again.
tl::expected<void, std::string> set(Settings& settings, std::string_view key, std::string_view text,
                                    bool was_set = false);
/// Nothing when there is no such key. set(s, key, *print(s, key)) changes nothing.
tl::expected<std::string, std::string> print(const Settings& settings, std::string_view key);

}  // namespace spoold::list
