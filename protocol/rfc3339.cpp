#include "protocol/rfc3339.hpp"

namespace spoold {

std::optional<TimePoint> parse_rfc3339(std::string_view text) {
  const auto take = [&text](std::size_t width, int& value) {
    value = 0;
    if (text.size() < width) return false;
    for (const char c : text.substr(0, width)) {
      if (c < '0' || c > '9') return false;
      value = value * 10 + (c - '0');
    }
    text.remove_prefix(width);
    return true;
  };
  const auto passes = [&text](std::string_view one_of) {
    if (text.empty() || one_of.find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
  };
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, milli = 0;
  if (!take(4, year) || !passes("-") || !take(2, month) || !passes("-") || !take(2, day)) return std::nullopt;
  if (!passes("Tt ") || !take(2, hour) || !passes(":") || !take(2, minute) || !passes(":") ||
      !take(2, second))
    return std::nullopt;
  if (passes(".")) {
    int digit = 0, unit = 100;
    if (!take(1, digit)) return std::nullopt;
    do {
      milli += digit * unit;
      unit /= 10;
    } while (take(1, digit));
  }
  std::chrono::minutes offset{0};
  if (!passes("Zz")) {
    const bool east = !text.empty() && text.front() == '+';
    int hours = 0, minutes = 0;
    if (!passes("+-") || !take(2, hours) || !passes(":") || !take(2, minutes) || hours > 23 || minutes > 59)
      return std::nullopt;
    offset = (east ? 1 : -1) * (std::chrono::hours(hours) + std::chrono::minutes(minutes));
  }
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!text.empty() || !date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  return TimePoint(std::chrono::sys_days(date)) + std::chrono::hours(hour) + std::chrono::minutes(minute) -
         offset + std::chrono::seconds(second) + std::chrono::milliseconds(milli);
}

}  // namespace spoold
