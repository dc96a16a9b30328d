#include "protocol/mail/date.hpp"

#include <array>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "protocol/mail/ascii.hpp"

namespace spoold::mail {
namespace {

constexpr std::array<std::string_view, 12> months = {"jan", "feb", "mar", "apr", "may", "jun",
                                                     "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::pair<std::string_view, int>, 11> zones = {{{"ut", 0},
                                                                     {"utc", 0},
                                                                     {"gmt", 0},
                                                                     {"z", 0},
                                                                     {"est", -5},
                                                                     {"edt", -4},
                                                                     {"cst", -6},
                                                                     {"cdt", -5},
                                                                     {"mst", -7},
                                                                     {"pst", -8},
                                                                     {"pdt", -7}}};

std::optional<int> number(std::string_view text, std::size_t least, std::size_t most) {
  int value = 0;
  if (text.size() < least || text.size() > most) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// Words, without comments; ',' and ':' do not separate.
std::vector<std::string> words_of(std::string_view value) {
  std::vector<std::string> words;
  bool inside = false;
  int comments = 0;
  for (const char c : value.substr(0, 200)) {
    if (c == '(') ++comments;
    if (c == ')' && comments > 0) {
      --comments;
      inside = false;
      continue;
    }
    if (comments > 0 || is_space(c)) {
      inside = false;
      continue;
    }
    if (!inside) words.emplace_back();
    inside = true;
    words.back() += lower(c);
  }
  return words;
}

std::optional<std::chrono::minutes> zone_of(std::string_view word) {
  if (word.size() == 5 && (word[0] == '+' || word[0] == '-')) {
    const auto hours = number(word.substr(1, 2), 2, 2), minutes = number(word.substr(3), 2, 2);
    if (!hours || !minutes || *minutes > 59) return std::nullopt;
    const auto offset = std::chrono::minutes(*hours * 60 + *minutes);
    return word[0] == '-' ? -offset : offset;
  }
  for (const auto& [name, hours] : zones)
    if (word == name) return std::chrono::hours(hours);
  return std::nullopt;
}

}  // namespace

std::optional<TimePoint> read_date(std::string_view value) {
  auto words = words_of(value);
  if (!words.empty() && words.front().find(',') != std::string::npos) {
    const std::size_t comma = words.front().find(',');
    words.front().erase(0, comma + 1);  // "Tue," or "Tue,1"
    if (words.front().empty()) words.erase(words.begin());
  }
  if (words.size() < 4) return std::nullopt;
  const auto day = number(words[0], 1, 2);
  auto year = number(words[2], 2, 4);
  unsigned month = 0;
  for (unsigned i = 0; i < months.size(); ++i)
    if (words[1].starts_with(months[i])) month = i + 1;
  if (!day || !year || month == 0) return std::nullopt;
  if (words[2].size() == 2) *year += *year < 50 ? 2000 : 1900;
  if (words[2].size() == 3) *year += 1900;
  const std::string_view clock = words[3];
  const std::size_t first = clock.find(':'),
                    second = clock.find(':', first == clock.npos ? first : first + 1);
  if (first == clock.npos) return std::nullopt;
  const auto hours = number(clock.substr(0, first), 1, 2);
  const auto minutes =
      number(clock.substr(first + 1, second == clock.npos ? second : second - first - 1), 2, 2);
  const auto seconds = second == clock.npos ? std::optional<int>(0) : number(clock.substr(second + 1), 2, 2);
  if (!hours || !minutes || !seconds || *hours > 23 || *minutes > 59 || *seconds > 60) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(month),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  const auto zone =
      words.size() > 4 ? zone_of(words[4]).value_or(std::chrono::minutes(0)) : std::chrono::minutes(0);
  return TimePoint(std::chrono::sys_days(date)) + std::chrono::hours(*hours) +
         std::chrono::minutes(*minutes) + std::chrono::seconds(*seconds) - zone;
}

}  // namespace spoold::mail
