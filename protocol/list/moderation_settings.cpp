// The rows of the table of settings that say who may post (settings_table.hpp; the rules: policy.hpp).
#include <charconv>

#include "conf/values.hpp"
#include "protocol/list/approved.hpp"
#include "protocol/list/rules.hpp"
#include "protocol/list/settings_table.hpp"

namespace spoold::list {
namespace {

using Done = tl::expected<void, std::string>;
tl::unexpected<std::string> fault(std::string text) {
  return tl::unexpected(std::move(text));
}

constexpr std::size_t most_octets = 4 << 20;  // of the text of one setting

Done read_action(Action& value, std::string_view text, std::initializer_list<Action> allowed) {
  std::string expected;
  for (const Action one : allowed) {
    if (text == list::text(one)) {
      value = one;
      return {};
    }
    expected += (expected.empty() ? "" : ", ") + std::string(list::text(one));
  }
  return fault("'" + std::string(text) + "' is none of: " + expected);
}

Done read_number(std::uint32_t& value, std::string_view text) {
  std::uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end || text.empty())
    return fault("'" + std::string(text) + "' is no number");
  value = number;
  return {};
}

Done read_lifetime(Settings& settings, std::string_view text) {
  const auto duration = conf::parse_duration(text);
  if (!duration) return fault(duration.error());
  if (*duration < std::chrono::hours(1) || *duration > std::chrono::hours(24 * 365))
    return fault("'" + std::string(text) + "' is not between an hour and a year");
  settings.moderation.held_lifetime = *duration;
  return {};
}

/// `field`: of RuleTexts. The text is kept in the form that print_...() gives it.
template <std::string RuleTexts::*field>
Done read_patterns(Settings& settings, std::string_view text) {
  if (text.size() > most_octets) return fault("more than 4 MiB of rules");
  std::vector<std::string> faults;
  const auto patterns = read_address_patterns(text, faults);
  if (!faults.empty()) return fault(faults.front());
  settings.moderation.rules.*field = print_address_patterns(patterns);
  return {};
}
template <std::string RuleTexts::*field>
std::string print_rules(const Settings& settings) {
  return settings.moderation.rules.*field;
}

Done read_headers(Settings& settings, std::string_view text) {
  if (text.size() > most_octets) return fault("more than 4 MiB of rules");
  std::vector<std::string> faults;
  const auto rules = read_header_rules(text, faults);
  if (!faults.empty()) return fault(faults.front());
  settings.moderation.rules.header_rules = print_header_rules(rules);
  return {};
}

std::optional<std::string> patterns_fault(std::string_view text) {
  std::vector<std::string> faults;
  for (const AddressPattern& one : read_address_patterns(text, faults))
    if (one.kind == AddressPattern::Kind::expression)
      if (auto wrong = expression_fault(one.text)) return wrong;
  return std::nullopt;
}
std::optional<std::string> headers_fault(std::string_view text) {
  std::vector<std::string> faults;
  for (const HeaderRule& one : read_header_rules(text, faults))
    if (auto wrong = expression_fault(one.pattern)) return wrong;
  return std::nullopt;
}

template <std::string RuleTexts::*field>
SettingKey patterns(std::string_view name, std::string_view meaning) {
  return {name,
          "addresses, domains, ^expressions",
          meaning,
          read_patterns<field>,
          print_rules<field>,
          true,
          patterns_fault};
}

}  // namespace

const std::vector<SettingKey>& moderation_setting_keys() {
  static const std::vector<SettingKey> keys = {
      {"nonmembers", "reject | hold | accept | discard | defer",
       "a post of somebody who is no member; defer: the rules below decide",
       [](Settings& s, std::string_view t) {
         return read_action(s.moderation.nonmembers, t,
                            {Action::reject, Action::hold, Action::accept, Action::discard, Action::defer});
       },
       [](const Settings& s) { return std::string(text(s.moderation.nonmembers)); }},
      {"member_moderation", "defer | accept | hold | reject | discard",
       "a post of a member without an action of his own (member set); defer: the rules below decide",
       [](Settings& s, std::string_view t) {
         return read_action(s.moderation.members, t,
                            {Action::defer, Action::accept, Action::hold, Action::reject, Action::discard});
       },
       [](const Settings& s) { return std::string(text(s.moderation.members)); }},
      {"moderator_password", "text",
       "whoever writes it into the field Approved of a post approves it; only a hash is kept",
       [](Settings& s, std::string_view t) -> Done {
         if (!t.empty() && !is_sealed(t)) return fault("this is no hash of a password");
         s.moderation.password = t;
         return {};
       },
       [](const Settings& s) { return s.moderation.password; }},
      {"emergency", "true | false", "hold every post",
       [](Settings& s, std::string_view t) { return read_flag(s.moderation.emergency, t); },
       [](const Settings& s) { return print_flag(s.moderation.emergency); }},
      patterns<&RuleTexts::bans>("bans", "senders whose posts are refused, whoever they are"),
      patterns<&RuleTexts::accept_these>("accept_these", "senders who may post although they are no members"),
      patterns<&RuleTexts::hold_these>("hold_these", "of those who are no members: their posts are held"),
      patterns<&RuleTexts::reject_these>("reject_these", "of those: their posts are rejected"),
      patterns<&RuleTexts::discard_these>("discard_these", "of those: their posts are discarded"),
      {"implicit_destination", "accept | hold | reject | discard",
       "a post whose To and Cc do not name the list",
       [](Settings& s, std::string_view t) {
         return read_action(s.moderation.implicit_destination, t,
                            {Action::accept, Action::hold, Action::reject, Action::discard});
       },
       [](const Settings& s) { return std::string(text(s.moderation.implicit_destination)); }},
      patterns<&RuleTexts::acceptable_aliases>("acceptable_aliases",
                                               "other addresses that name the list in To and Cc"),
      {"max_recipients", "number", "hold a post that names more addresses in To and Cc; 0: any number",
       [](Settings& s, std::string_view t) { return read_number(s.moderation.max_recipients, t); },
       [](const Settings& s) { return std::to_string(s.moderation.max_recipients); }},
      {"header_rules", "a line for each: ACTION FIELD: EXPRESSION",
       "first line that fits decides, as 'hold X-Spam-Flag: ^yes'", read_headers,
       print_rules<&RuleTexts::header_rules>, true, headers_fault},
      {"moderators", "addresses", "who is told of held posts; none: the owners",
       [](Settings& s, std::string_view t) { return read_addresses(s.moderation.moderators, t); },
       [](const Settings& s) { return print_addresses(s.moderation.moderators); }},
      {"held_lifetime", "duration", "how long a held post waits for a moderator", read_lifetime,
       [](const Settings& s) { return conf::duration_text(s.moderation.held_lifetime); }},
      {"held_expiry", "discard | reject", "what then becomes of it",
       [](Settings& s, std::string_view t) {
         return read_action(s.moderation.held_expiry, t, {Action::discard, Action::reject});
       },
       [](const Settings& s) { return std::string(text(s.moderation.held_expiry)); }},
  };
  return keys;
}

}  // namespace spoold::list
