#include "protocol/list/letter.hpp"

#include <algorithm>
#include <array>

#include "protocol/list/text.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/phrase.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::list {
namespace {

constexpr std::array<std::string_view, 26> names = {
    "user_address",   "confirm_address", "delivery",  "who_did_it", "words",     "reason",
    "members",        "post_id",         "post_from", "post_date",  "post_size", "post_subject",
    "posts",          "count",           "most",      "since",      "until",     "outcome",
    "cause",          "answer_address",  "info",      "limit",      "waiting",   "preferences",
    "authentication", "user_domain"};
constexpr std::string_view subject_field = "Subject:";

struct Split {
  std::string_view subject, body;
};

std::optional<Split> split(std::string_view text) {
  const std::size_t end = text.find('\n');
  if (end == text.npos || !mail::starts_with(text, subject_field)) return {};
  std::string_view body = text.substr(end + 1);
  if (body.starts_with('\r')) body.remove_prefix(1);
  if (!body.starts_with('\n')) return {};
  return Split{mail::trim(text.substr(subject_field.size(), end - subject_field.size())), body.substr(1)};
}

std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return text;
}

}  // namespace

std::span<const std::string_view> letter_names() {
  return names;
}

std::optional<std::string> template_fault(std::string_view text) {
  if (mail::trim(text).empty()) return {};
  if (!split(text)) return "expected a first line \"Subject: ...\", then a blank line, then the text";
  for (std::size_t at = 0; at < text.size();) {
    char32_t point = 0;
    const std::size_t size = mail::decode_utf8(text.substr(at), point);
    if (size == 0) return "the text is not UTF-8";
    if ((point < 0x20 && point != '\n' && point != '\t' && point != '\r') || point == 0x7f)
      return "the text has a control character";
    at += size;
  }
  const std::string unknown =
      unknown_name(text, [](std::string_view name) { return std::ranges::find(names, name) != names.end(); });
  if (!unknown.empty()) return "there is no $" + unknown;
  return {};
}

std::optional<Letter> letter(const List& list, std::string_view text, const LetterValues& values) {
  if (mail::trim(text).empty()) return {};
  const Split parts = split(text).value_or(Split{"About $list_address", text});
  bool any_name = false, any_value = false;
  const auto value = [&](std::string_view name) -> std::optional<std::string> {
    const auto found = std::ranges::find(values, name, &LetterValues::value_type::first);
    if (found == values.end() && std::ranges::find(names, name) == names.end()) return std::nullopt;
    any_name = true;
    if (name == "info" && !list.settings.info.empty()) {
      any_value = true;
      return "\r\n" + filled(list, list.settings.info, [](std::string_view) { return std::nullopt; });
    }
    if (found == values.end() || found->second.empty()) return std::string();
    any_value = true;
    return name == "members" || name == "posts" || name == "preferences" ? found->second
                                                                         : one_line(found->second);
  };
  Letter made;
  const std::string subject = one_line(filled(list, parts.subject, value));
  const bool ascii = std::ranges::none_of(subject, [](char c) { return (c & 0x80) != 0; });
  made.subject = ascii ? subject : mail::encoded_words(subject);
  for (std::string_view rest = parts.body; !rest.empty();) {
    const std::string_view line = rest.substr(0, std::min(rest.find('\n'), rest.size() - 1) + 1);
    rest.remove_prefix(line.size());
    any_name = any_value = false;
    const std::string text_of_line = filled(list, line, value);
    if (any_value || !any_name) made.text += text_of_line;
  }
  if (!made.text.ends_with("\r\n")) made.text += "\r\n";
  return made;
}

std::string_view delivery_text(Delivery delivery, std::string_view language) {
  const bool german = language == "de";
  switch (delivery) {
    case Delivery::regular:
      return german ? "jede Nachricht" : "each message";
    case Delivery::digest:
    case Delivery::digest_mime:
    case Delivery::digest_plain:
      return german ? "die Sammelsendung" : "the digest";
    default:
      return german ? "nichts" : "nothing";
  }
}

std::string preferences_text(const PreferenceTexts& preferences, std::string_view language) {
  const bool german = language == "de";
  const auto named = [german](std::string_view name) -> std::string_view {
    if (name == "own_posts") return german ? "eigene Nachrichten" : "your own posts";
    if (name == "avoid_duplicates")
      return german ? "keine Nachrichten, deren To oder Cc Sie nennt" : "no posts whose To or Cc names you";
    if (name == "language") return german ? "Sprache" : "language";
    if (name == "vacation") return german ? "nichts im Urlaub" : "nothing during the vacation";
    return name;
  };
  const auto said = [german](const std::string& text) -> std::string_view {
    if (text == "true") return german ? "ja" : "yes";
    if (text == "false") return german ? "nein" : "no";
    if (text == "default") return german ? "wie die Liste" : "as the list has it";
    if (text == "off") return german ? "kein Urlaub" : "no vacation";
    return text;
  };
  std::string lines;
  for (const auto& [name, text] : preferences)
    lines.append(lines.empty() ? "    " : "\r\n    ").append(named(name)).append(": ").append(said(text));
  return lines;
}

std::string_view outcome_text(Action held_expiry, std::string_view language) {
  const bool german = language == "de";
  return held_expiry == Action::reject ? (german ? "abgelehnt" : "rejected")
                                       : (german ? "verworfen" : "discarded");
}

std::string left_by_text(std::string_view by, std::string_view language) {
  if (language == "de")
    return "Dies geschah durch eine Nachricht von " + std::string(by) +
           " an die Austrittsadresse, die in den an Sie gesandten Beitr\xc3\xa4gen steht. Wenn Sie das nicht "
           "wollten, antworten "
           "Sie auf diese Nachricht: damit treten Sie wieder ein.";
  return "A message from " + std::string(by) +
         " to the address for leaving did this, which stands in the posts that were sent to you. If you did "
         "not want it, answer "
         "this message: that asks to join again.";
}

}  // namespace spoold::list
