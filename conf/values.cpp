// Durations and sizes: the text forms of spoold.toml.
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "conf/values.hpp"

namespace spoold::conf {

namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// From large to small: the text forms below take the first one that divides.
constexpr std::array<Unit, 6> duration_units{{{"w", 7ull * 24 * 3600 * 1000},
                                              {"d", 24ull * 3600 * 1000},
                                              {"h", 3600ull * 1000},
                                              {"m", 60ull * 1000},
                                              {"s", 1000},
                                              {"ms", 1}}};
constexpr std::array<Unit, 5> size_units{
    {{"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}}};

constexpr std::uint64_t longest_duration = 3650ull * 24 * 3600 * 1000;  // ten years
constexpr std::uint64_t largest_size = 1ull << 50;

constexpr std::array<std::pair<std::string_view, Duration>, 3> rate_units{
    {{"s", std::chrono::seconds(1)}, {"min", std::chrono::minutes(1)}, {"h", std::chrono::hours(1)}}};

template <std::size_t N>
tl::expected<std::uint64_t, std::string> number_with_unit(std::string_view text,
                                                          const std::array<Unit, N>& units,
                                                          std::uint64_t limit, const char* expected) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  const std::string shown = "'" + std::string(text) + "'";
  if (error == std::errc::result_out_of_range) return tl::unexpected(shown + " is too large");
  if (error != std::errc() || rest == text.data()) return tl::unexpected(shown + " is not " + expected);
  if (unit.empty()) return tl::unexpected(shown + " has no unit: expected " + expected);
  for (const Unit& known : units) {
    if (known.name != unit) continue;
    if (number > limit / known.factor) return tl::unexpected(shown + " is too large");
    return number * known.factor;
  }
  return tl::unexpected(shown + " is not " + expected);
}

template <std::size_t N>
std::string shortest(std::uint64_t value, const std::array<Unit, N>& units, std::string_view unit_of_zero) {
  if (value == 0) return "0" + std::string(unit_of_zero);
  for (const Unit& unit : units)
    if (value % unit.factor == 0) return std::to_string(value / unit.factor) + std::string(unit.name);
  return std::to_string(value);
}

}  // namespace

tl::expected<Duration, std::string> parse_duration(std::string_view text) {
  return number_with_unit(text, duration_units, longest_duration,
                          "a duration such as \"30s\" (units ms, s, m, h, d, w)")
      .map([](std::uint64_t ms) { return Duration(static_cast<Duration::rep>(ms)); });
}

tl::expected<std::uint64_t, std::string> parse_size(std::string_view text) {
  return number_with_unit(text, size_units, largest_size,
                          "a size such as \"25MiB\" (units B, KiB, MiB, GiB, TiB)");
}

tl::expected<Rate, std::string> parse_rate(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view number = text.substr(0, slash),
                         unit = slash == std::string_view::npos ? "" : text.substr(slash + 1);
  Rate rate;
  const auto [rest, error] = std::from_chars(number.data(), number.data() + number.size(), rate.count);
  for (const auto& [name, per] : rate_units)
    if (unit == name) rate.per = per;
  const bool whole = error == std::errc() && rest == number.data() + number.size();
  if (!whole || rate.per == Duration{} || rate.count == 0 || rate.count > 1'000'000'000)
    return tl::unexpected("'" + std::string(text) +
                          "' is not a rate such as \"600/min\" (a number from 1, then /s, /min or /h)");
  return rate;
}

std::string rate_text(const Rate& rate) {
  for (const auto& [name, per] : rate_units)
    if (rate.per == per) return std::to_string(rate.count) + "/" + std::string(name);
  return {};
}

std::string duration_text(Duration duration) {
  return shortest(static_cast<std::uint64_t>(duration.count()), duration_units, "s");
}

std::string size_text(std::uint64_t size) {
  return shortest(size, size_units, "B");
}

}  // namespace spoold::conf
