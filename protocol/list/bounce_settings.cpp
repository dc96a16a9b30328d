// The rows of the table of settings that say what becomes of failures and complaints (settings_table.hpp).
#include <charconv>

#include "conf/values.hpp"
#include "protocol/list/brake.hpp"
#include "protocol/list/setting_words.hpp"
#include "protocol/list/settings_table.hpp"

namespace spoold::list {
namespace {

using Done = tl::expected<void, std::string>;
tl::unexpected<std::string> fault(std::string text) {
  return tl::unexpected(std::move(text));
}

constexpr std::uint32_t most_points = 1000, most_warnings = 100;

constexpr std::array<Word<OnComplaint>, 3> complaint_words = {
    {{"tell", OnComplaint::tell}, {"nomail", OnComplaint::nomail}, {"leave", OnComplaint::leave}}};

/// "5", "5.0", "2.5".
Done read_threshold(Settings& settings, std::string_view text) {
  std::uint32_t whole = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, whole);
  const std::string_view half(rest, static_cast<std::size_t>(end - rest));
  if (error != std::errc() || whole > most_points || (!half.empty() && half != ".0" && half != ".5"))
    return fault("'" + std::string(text) + "' is no number of points: expected 0.5 to 1000 in steps of 0.5");
  const std::uint32_t points = 2 * whole + (half == ".5" ? 1 : 0);
  if (points == 0 || points > 2 * most_points) return fault("a threshold is 0.5 to 1000 points");
  settings.bounces.threshold = points;
  return {};
}

Done read_warnings(Settings& settings, std::string_view text) {
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || value > most_warnings)
    return fault("'" + std::string(text) + "' is no number from 0 to 100");
  settings.bounces.warnings = value;
  return {};
}

/// "10%", "off".
Done read_guard(Settings& settings, std::string_view text) {
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const bool percent =
      error == std::errc() && std::string_view(rest, end) == "%" && value >= 1 && value <= 100;
  if (!percent && text != "off") return fault("'" + std::string(text) + "' is neither 1% to 100% nor off");
  settings.bounces.guard = percent ? value : 0;
  return {};
}

Done read_days(Duration& value, std::string_view text) {
  const auto duration = conf::parse_duration(text);
  if (!duration) return fault(duration.error());
  if (*duration < std::chrono::hours(1)) return fault("'" + std::string(text) + "' is less than an hour");
  value = *duration;
  return {};
}

}  // namespace

std::string points_text(std::uint32_t half_points) {
  return std::to_string(half_points / 2) + (half_points % 2 != 0 ? ".5" : ".0");
}

const std::vector<SettingKey>& bounce_setting_keys() {
  static const std::vector<SettingKey> keys = {
      {"bounce_processing", "true | false", "whether failures count against members",
       [](Settings& s, std::string_view t) { return read_flag(s.bounces.processing, t); },
       [](const Settings& s) { return print_flag(s.bounces.processing); }},
      {"bounce_threshold", "points", "so many points begin a probe, or disable the member", read_threshold,
       [](const Settings& s) { return points_text(s.bounces.threshold); }},
      {"bounce_stale", "duration", "a score is forgotten when its last failure is older",
       [](Settings& s, std::string_view t) { return read_days(s.bounces.stale, t); },
       [](const Settings& s) { return conf::duration_text(s.bounces.stale); }},
      {"bounce_warnings", "0 to 100", "warnings to a disabled member before he is removed", read_warnings,
       [](const Settings& s) { return std::to_string(s.bounces.warnings); }},
      {"bounce_interval", "duration", "time between two warnings, and between the last one and the removal",
       [](Settings& s, std::string_view t) { return read_days(s.bounces.interval, t); },
       [](const Settings& s) { return conf::duration_text(s.bounces.interval); }},
      {"bounce_guard", "X% | off",
       "when more of the members at one domain, and at least 10, fail in the same way within an hour, that "
       "does not count",
       read_guard,
       [](const Settings& s) {
         return s.bounces.guard == 0 ? std::string("off") : std::to_string(s.bounces.guard) + "%";
       }},
      {"complaint", "tell | nomail | leave",
       "what becomes of a member whose provider returns his copy as spam; the owners are told in any case",
       [](Settings& s, std::string_view t) { return read_word(s.complaint, t, complaint_words); },
       [](const Settings& s) { return print_word(s.complaint, complaint_words); }},
      {"brake", "X% of N | off",
       "a post that more than so many of the first N recipients refuse for good, all for one reason, is held",
       [](Settings& s, std::string_view t) -> tl::expected<void, std::string> {
         const auto rules = read_brake(t);
         if (!rules) return tl::unexpected(rules.error());
         s.brake = *rules;
         return {};
       },
       [](const Settings& s) { return print_brake(s.brake); }},
      {"bounce_probe", "true | false",
       "at the threshold a probe is sent, and disables the member if it bounces",
       [](Settings& s, std::string_view t) { return read_flag(s.bounces.probe, t); },
       [](const Settings& s) { return print_flag(s.bounces.probe); }},
  };
  return keys;
}

}  // namespace spoold::list
