#include "protocol/list/brake.hpp"

#include <charconv>

namespace spoold::list {

tl::expected<BrakeRules, std::string> read_brake(std::string_view text) {
  BrakeRules rules;
  if (text == "off") return rules;
  constexpr std::string_view between = "% of ";
  const char* const end = text.data() + text.size();
  const auto percent = std::from_chars(text.data(), end, rules.percent);
  const std::string_view rest(percent.ptr, static_cast<std::size_t>(end - percent.ptr));
  const bool good = percent.ec == std::errc() && rest.starts_with(between);
  const auto of = good ? std::from_chars(percent.ptr + between.size(), end, rules.of) : percent;
  if (!good || of.ec != std::errc() || of.ptr != end)
    return tl::unexpected("'" + std::string(text) + "' is no brake: expected off, or for example 5% of 200");
  if (rules.percent < 1 || rules.percent > 99 || rules.of < 10 || rules.of > 10'000)
    return tl::unexpected("'" + std::string(text) + "': expected 1 to 99 % of 10 to 10000 recipients");
  return rules;
}

std::string print_brake(const BrakeRules& rules) {
  return rules.of == 0 ? "off" : std::to_string(rules.percent) + "% of " + std::to_string(rules.of);
}

bool brakes(const BrakeRules& rules, std::uint64_t before, std::uint64_t failed) {
  return rules.of != 0 && before < rules.of && failed * 100 > std::uint64_t{rules.percent} * rules.of;
}

}  // namespace spoold::list
