// The rows of the table of settings about digests (settings_table.hpp).
#include <array>

#include "conf/values.hpp"
#include "protocol/list/setting_words.hpp"
#include "protocol/list/settings_table.hpp"

namespace spoold::list {
namespace {

using Done = tl::expected<void, std::string>;
constexpr std::array<Word<DigestForm>, 2> form_words = {
    {{"mime", DigestForm::mime}, {"plain", DigestForm::plain}}};

Done read_size(Settings& settings, std::string_view text) {
  if (text == "0") {
    settings.digest.size = 0;
    return {};
  }
  const auto size = conf::parse_size(text);
  if (!size) return tl::unexpected("'" + std::string(text) + "' is not " + size.error());
  settings.digest.size = *size;
  return {};
}

Done read_every(Settings& settings, std::string_view text) {
  if (text == "0") {
    settings.digest.every = {};
    return {};
  }
  const auto duration = conf::parse_duration(text);
  if (!duration) return tl::unexpected(duration.error());
  if (*duration < std::chrono::minutes(1))
    return tl::unexpected("'" + std::string(text) + "' is less than a minute");
  settings.digest.every = *duration;
  return {};
}

}  // namespace

const std::vector<SettingKey>& digest_setting_keys() {
  static const std::vector<SettingKey> keys = {
      {"digest_size", "size | 0", "a digest goes out when the posts since the last one have so many octets",
       read_size,
       [](const Settings& s) { return s.digest.size == 0 ? "0" : conf::size_text(s.digest.size); }},
      {"digest_every", "duration | 0",
       "and when the first of them has waited so long; both 0: there are no digests", read_every,
       [](const Settings& s) {
         return s.digest.every == Duration{} ? "0" : conf::duration_text(s.digest.every);
       }},
      {"digest_format", "mime | plain", "of members whose delivery is digest: RFC 2046 or RFC 1153",
       [](Settings& s, std::string_view t) { return read_word(s.digest.form, t, form_words); },
       [](const Settings& s) { return print_word(s.digest.form, form_words); }},
  };
  return keys;
}

}  // namespace spoold::list
