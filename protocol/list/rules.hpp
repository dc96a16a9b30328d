// A list's own rules about senders and header fields, compiled: what policy.hpp asks. Made of their texts (RuleTexts) once for
// each version of them (Moderation::rules_version), then read by any thread: ten thousand bans and header rules cost a post
// microseconds.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "protocol/list/patterns.hpp"
#include "protocol/list/settings.hpp"
#include "protocol/mail/header.hpp"

namespace spoold::list {

/// A line of header_rules: `hold X-Spam-Flag: ^yes`, `discard[spam] X-Spam-Level: \*{8}`.
struct HeaderRule {
  Action action = Action::hold;
  std::string tag;      // of Mailman's header matches; may be empty
  std::string field;    // a field's name as written
  std::string pattern;  // a regular expression, found anywhere in the decoded value
  std::string written() const;
};
/// Lines that are no rules come back in `faults`. Expressions are not looked at: expression_fault().
std::vector<HeaderRule> read_header_rules(std::string_view text, std::vector<std::string>& faults);
std::string print_header_rules(const std::vector<HeaderRule>& rules);

class Rules {
 public:
  Rules() = default;
  explicit Rules(const RuleTexts& texts);

  AddressPatterns bans, accept_these, hold_these, reject_these, discard_these, acceptable_aliases;
  /// The first rule, in the order of the list, that a field of this header fits.
  const HeaderRule* first(const mail::Header& header) const;

 private:
  std::vector<HeaderRule> header_rules_;
  std::unordered_map<std::string, ExpressionSet> by_field_;  // by name in lower case
};

}  // namespace spoold::list
