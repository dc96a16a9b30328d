#include "protocol/milter/options.hpp"

#include "protocol/milter/frame.hpp"

namespace spoold::milter {
namespace {

std::vector<std::string> words(std::string_view text) {
  constexpr std::string_view blanks = " ,\t";
  std::vector<std::string> all;
  while (true) {
    const auto begin = text.find_first_not_of(blanks);
    if (begin == std::string_view::npos) return all;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(blanks));
    all.emplace_back(word);
    text.remove_prefix(word.size());
  }
}

std::string hex(std::uint32_t bits) {
  std::string out;
  for (int shift = 28; shift >= 0; shift -= 4)
    if (const auto digit = (bits >> shift) & 0xf; digit != 0 || !out.empty() || shift == 0)
      out.push_back("0123456789abcdef"[digit]);
  return "0x" + out;
}

}  // namespace

std::string offer() {
  std::string data;
  append_number(data, 6);
  append_number(data, offered_actions);
  append_number(data, offered_steps);
  return data;
}

tl::expected<Options, std::string> parse_options(std::string_view data) {
  if (data.size() < 12) return tl::unexpected(std::string("the answer to the negotiation is cut off"));
  Options options;
  options.version = number(data);
  options.actions = number(data.substr(4));
  options.steps = number(data.substr(8));
  data.remove_prefix(12);
  if (options.version < 2 || options.version > 6)
    return tl::unexpected("version " + std::to_string(options.version) +
                          " of the protocol is not known; expected 2 to 6");
  if (const auto more = options.actions & ~offered_actions; more != 0)
    return tl::unexpected("it asks for actions that are not offered: " + hex(more));
  if (const auto more = options.steps & ~offered_steps; more != 0)
    return tl::unexpected("it asks for protocol steps that are not offered: " + hex(more));
  while (!data.empty()) {
    const auto end = data.find('\0', 4);
    if (data.size() < 5 || end == std::string_view::npos)
      return tl::unexpected(std::string("a list of macros in the negotiation is cut off"));
    const std::uint32_t stage = number(data);
    if (stage >= stages) return tl::unexpected(std::string("macros for a step that is not known"));
    options.macros[stage] = words(data.substr(4, end - 4));
    data.remove_prefix(end + 1);
  }
  return options;
}

}  // namespace spoold::milter
