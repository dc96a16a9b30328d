#include "protocol/list/rules.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"
#include "protocol/mime/transfer.hpp"

namespace spoold::list {
namespace {

constexpr std::size_t most_value = 8192;  // of a field: no rule is about what stands behind

bool field_name(std::string_view name) {
  return !name.empty() && name.size() <= 200 &&
         std::ranges::all_of(name, [](char c) { return c > 32 && c < 127 && c != ':'; });
}

std::optional<HeaderRule> rule_of(std::string_view line) {
  HeaderRule rule;
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos) return std::nullopt;
  std::string_view action = line.substr(0, blank);
  if (const std::size_t open = action.find('['); open != std::string_view::npos) {
    if (!action.ends_with(']')) return std::nullopt;
    rule.tag = action.substr(open + 1, action.size() - open - 2);
    action = action.substr(0, open);
  }
  const auto parsed = parse_action(action);
  if (!parsed || *parsed == Action::defer) return std::nullopt;
  rule.action = *parsed;
  const std::string_view rest = mail::trim(line.substr(blank));
  const std::size_t colon = rest.find(':');
  if (colon == std::string_view::npos || !field_name(rest.substr(0, colon))) return std::nullopt;
  rule.field = rest.substr(0, colon);
  rule.pattern = mail::trim(rest.substr(colon + 1));
  return rule;
}

}  // namespace

std::string HeaderRule::written() const {
  return std::string(text(action)) + (tag.empty() ? "" : "[" + tag + "]") + " " + field + ": " + pattern;
}

std::vector<HeaderRule> read_header_rules(std::string_view text, std::vector<std::string>& faults) {
  std::vector<HeaderRule> rules;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = mail::trim(text.substr(at, end - at));
    at = end + 1;
    if (line.empty()) continue;
    if (auto rule = rule_of(line))
      rules.push_back(std::move(*rule));
    else
      faults.push_back("'" + std::string(line) + "' is no rule: expected a line for each, such as 'hold " +
                       "X-Spam-Flag: ^yes', with accept, hold, reject or discard");
  }
  return rules;
}

std::string print_header_rules(const std::vector<HeaderRule>& rules) {
  std::string text;
  for (const HeaderRule& rule : rules) text.append(text.empty() ? "" : "\n").append(rule.written());
  return text;
}

Rules::Rules(const RuleTexts& texts)
    : bans(texts.bans),
      accept_these(texts.accept_these),
      hold_these(texts.hold_these),
      reject_these(texts.reject_these),
      discard_these(texts.discard_these),
      acceptable_aliases(texts.acceptable_aliases) {
  std::vector<std::string> faults;
  header_rules_ = read_header_rules(texts.header_rules, faults);
  for (std::size_t i = 0; i < header_rules_.size(); ++i)
    by_field_.try_emplace(mail::lower(header_rules_[i].field), ExpressionSet::Anchor::none)
        .first->second.add(header_rules_[i].pattern, i);
  for (auto& [name, set] : by_field_) set.compile();
}

const HeaderRule* Rules::first(const mail::Header& header) const {
  if (by_field_.empty()) return nullptr;
  std::optional<std::size_t> lowest;
  for (const mail::Field& field : header.fields()) {
    const auto set = by_field_.find(mail::lower(field.name));
    if (set == by_field_.end()) continue;
    const auto found = set->second.first(mime::decoded_words(field.value, most_value));
    if (found && (!lowest || *found < *lowest)) lowest = found;
  }
  return lowest ? &header_rules_[*lowest] : nullptr;
}

}  // namespace spoold::list
