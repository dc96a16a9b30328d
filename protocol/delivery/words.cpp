#include "protocol/delivery/words.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "protocol/mail/ascii.hpp"

namespace spoold::delivery {
namespace {

// In lower case, one space between words and at both ends: a phrase with a space at both ends is found whole.
std::string words_of(std::string_view text) {
  std::string words = " ";
  for (const char c : text) {
    if (mail::is_alpha(c) || mail::is_digit(c) || static_cast<unsigned char>(c) >= 0x80)
      words += mail::lower(c);
    else if (words.back() != ' ')
      words += ' ';
  }
  if (words.back() != ' ') words += ' ';
  return words;
}

bool has(const std::string& words, std::string_view phrase) {
  return words.find(phrase) != std::string::npos;
}

// As a whole: "anne@example.net" is not in "joanne@example.network".
bool holds_address(std::string_view text, std::string_view address) {
  const auto part_of_one = [](char c) {
    return mail::is_atext(c) || c == '@' || static_cast<unsigned char>(c) >= 0x80;
  };
  for (auto at = text.begin(); !address.empty(); ++at) {
    at = std::search(at, text.end(), address.begin(), address.end(),
                     [](char a, char b) { return mail::lower(a) == mail::lower(b); });
    if (at == text.end()) return false;
    const auto behind = at + static_cast<std::ptrdiff_t>(address.size());
    // A dot behind it may end the sentence.
    const auto next = behind != text.end() && *behind == '.' ? behind + 1 : behind;
    if ((at == text.begin() || (!part_of_one(at[-1]) && at[-1] != '.')) &&
        (next == text.end() || !part_of_one(*next)))
      return true;
  }
  return false;
}

bool says_too_many_recipients(const smtp::Reply& reply) {
  return (reply.enhanced.given() && reply.enhanced.subject == 5 && reply.enhanced.detail == 3) ||
         has(words_of(reply.text), " too many recipients ");
}

}  // namespace

Subject subject_of(const smtp::Reply& reply, std::string_view recipient) {
  const std::string words = words_of(reply.text);
  if (has(words, " too many errors ")) return Subject::errors;
  if (holds_address(reply.text, recipient) || has(words, " recipient address rejected "))
    return Subject::recipient;
  if (has(words, " sender address rejected ")) return Subject::sender;
  if (const smtp::EnhancedStatus& status = reply.enhanced; status.given())
    return status.klass == 4 && (status.subject == 3 || status.subject == 7) ? Subject::host
                                                                             : Subject::unknown;
  static constexpr std::array<std::string_view, 18> phrases = {" load ",
                                                               " overload ",
                                                               " overloaded ",
                                                               " too busy ",
                                                               " rate limit ",
                                                               " rate limits ",
                                                               " rate limited ",
                                                               " ratelimit ",
                                                               " ratelimited ",
                                                               " too many connections ",
                                                               " too many concurrent ",
                                                               " too many simultaneous ",
                                                               " throttle ",
                                                               " throttled ",
                                                               " throttling ",
                                                               " shutting down ",
                                                               " resources ",
                                                               " too fast "};
  const bool of_host =
      std::ranges::any_of(phrases, [&](std::string_view phrase) { return has(words, phrase); });
  return of_host ? Subject::host : Subject::unknown;
}

bool too_many_recipients(const smtp::Reply& reply) {
  if (says_too_many_recipients(reply)) return true;
  return !reply.enhanced.given() && (reply.code == 452 || reply.code == 552);
}

bool too_many_recipients_for_content(const smtp::Reply& reply) {
  return says_too_many_recipients(reply);
}

}  // namespace spoold::delivery
