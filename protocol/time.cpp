#include "protocol/time.hpp"

#include <array>

namespace spoold {
namespace {

struct Fields {
  unsigned year, month, day, weekday, hour, minute, second, milli;
};

Fields split(TimePoint t) {
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day ymd{day};
  const std::chrono::hh_mm_ss clock{t - day};
  return {static_cast<unsigned>(static_cast<int>(ymd.year())),
          static_cast<unsigned>(ymd.month()),
          static_cast<unsigned>(ymd.day()),
          std::chrono::weekday{day}.c_encoding(),
          static_cast<unsigned>(clock.hours().count()),
          static_cast<unsigned>(clock.minutes().count()),
          static_cast<unsigned>(clock.seconds().count()),
          static_cast<unsigned>(clock.subseconds().count())};
}

/// Not printf: these are made for each message.
void digits(std::string& out, std::size_t at, std::size_t width, unsigned value) {
  for (; width > 0; value /= 10) out[at + --width] = static_cast<char>('0' + value % 10);
}

}  // namespace

std::string rfc3339(TimePoint t) {
  const Fields f = split(t);
  std::string out = "0000-00-00T00:00:00.000Z";
  digits(out, 0, 4, f.year);
  digits(out, 5, 2, f.month);
  digits(out, 8, 2, f.day);
  digits(out, 11, 2, f.hour);
  digits(out, 14, 2, f.minute);
  digits(out, 17, 2, f.second);
  digits(out, 20, 3, f.milli);
  return out;
}

std::string rfc5322_date(TimePoint t) {
  static constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const Fields f = split(t);
  std::string out = "Sun, 00 Jan 0000 00:00:00 +0000";
  out.replace(0, 3, days.at(f.weekday));
  digits(out, 5, 2, f.day);
  out.replace(8, 3, months.at(f.month - 1));
  digits(out, 12, 4, f.year);
  digits(out, 17, 2, f.hour);
  digits(out, 20, 2, f.minute);
  digits(out, 23, 2, f.second);
  return out;
}

}  // namespace spoold
