#include "protocol/list/settings.hpp"

#include <array>

#include "protocol/mail/utf8.hpp"

namespace spoold::list {

std::optional<std::string> member_name_fault(std::string_view name) {
  if (name.size() > 200) return "the name is longer than 200 octets";
  if (!mail::is_utf8_text(name)) return "the name is not one line of UTF-8 text";
  return {};
}

namespace {
constexpr std::array<const char*, 5> action_words = {"defer", "accept", "hold", "reject", "discard"};
}

const char* text(Action action) {
  return action_words[static_cast<std::size_t>(action)];
}

std::optional<Action> parse_action(std::string_view text) {
  for (std::size_t i = 0; i < action_words.size(); ++i)
    if (text == action_words[i]) return static_cast<Action>(i);
  return std::nullopt;
}

Copies copies_for(const Settings& settings, std::uint32_t post_number) {
  const bool individual = settings.personalize != Personalize::none || settings.one_click;
  switch (settings.verp) {
    case Verp::never:
      return individual ? Copies::each_plain : Copies::bulk;
    case Verp::personalized:
      return individual ? Copies::each_verp : Copies::bulk;
    case Verp::every:
      if (individual) return Copies::each_verp;
      return settings.verp_every != 0 && post_number % settings.verp_every == 0 ? Copies::each_verp
                                                                                : Copies::bulk;
    case Verp::always:
      return Copies::each_verp;
  }
  return Copies::bulk;
}

std::optional<std::string> misfit(const Settings& settings) {
  const bool alone =
      copies_for(settings, 1) == Copies::each_verp && copies_for(settings, 2) == Copies::each_verp;
  if (settings.dkim2 && !alone)
    return "dkim2: a signature names sender and recipient of its copy, so that each copy needs an envelope "
           "sender "
           "of its own: verp=always, or verp=personalized with personalize=individual";
  return std::nullopt;
}

}  // namespace spoold::list
