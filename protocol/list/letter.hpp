// The letters that a list sends: to those who join, leave or ask (wish.hpp), about held posts, about failing mail. A letter is a
// template (conf/templates.hpp) with its names filled in.
//
// A template is a line "Subject: ...", a blank line, and the text, all UTF-8. `$list_address` and the other names of a list
// (text.hpp) may stand in both, and those of `letter_names`. A value never makes a second line, but for `$members`, `$posts`, `$preferences`
// and `$info` (the list's setting, a blank line before it).
// A line of the text whose names of `letter_names` all have no value is left out: "Reason: $reason" where there is none.
// Failures: template_fault says what is wrong with a template; a wrong one is not sent half, but the text as it is.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/list/settings.hpp"

namespace spoold::list {

/// user_address, confirm_address, post_from and so on: those of conf/README.md
std::span<const std::string_view> letter_names();

/// Why this cannot be a template, in one sentence; nothing: it can. An empty one is no letter.
std::optional<std::string> template_fault(std::string_view text);

using LetterValues = std::vector<std::pair<std::string_view, std::string>>;
struct Letter {
  std::string subject;  // the value of the field, ASCII, folded
  std::string text;     // lines with CRLF
};
/// Nothing for an empty template.
std::optional<Letter> letter(const List& list, std::string_view text, const LetterValues& values);

/// "each message", "the digest", "nothing": what `$delivery` says, in English or German.
std::string_view delivery_text(Delivery delivery, std::string_view language);
/// A line for each: "    your own posts: no", in English or German.
std::string preferences_text(const PreferenceTexts& preferences, std::string_view language);
/// "rejected" or "discarded": what `$outcome` says of a post that nobody decided about.
std::string_view outcome_text(Action held_expiry, std::string_view language);
/// $who_did_it of a goodbye: whose mail to the address of one-click ended the membership, and what undoes it.
std::string left_by_text(std::string_view by, std::string_view language);

}  // namespace spoold::list
