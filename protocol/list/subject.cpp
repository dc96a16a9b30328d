#include "protocol/list/subject.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/mail/phrase.hpp"
#include "protocol/mail/utf8.hpp"
#include "protocol/mime/transfer.hpp"

namespace spoold::list {
namespace {

constexpr std::size_t max_subject = 4096;  // of what is read of a subject

/// "%d" and "%05d", as C has them: where it begins, its size, and the digits that are wanted.
struct Number {
  std::size_t at = std::string_view::npos, size = 0, width = 0;
};
Number number_in(std::string_view prefix) {
  for (std::size_t at = prefix.find('%'); at != prefix.npos; at = prefix.find('%', at + 1)) {
    std::size_t end = at + 1, width = 0;
    while (end < prefix.size() && mail::is_digit(prefix[end]) && width < 10)
      width = width * 10 + static_cast<std::size_t>(prefix[end++] - '0');
    if (end < prefix.size() && prefix[end] == 'd') return {at, end + 1 - at, width};
  }
  return {};
}

/// The prefix as it is written in this post, with one blank at its end.
std::string prefix_of(std::string_view prefix, std::uint32_t post) {
  std::string out(mail::trim(prefix));
  if (const Number number = number_in(out); number.size > 0) {
    std::string digits = std::to_string(post);
    if (digits.size() < number.width) digits.insert(0, number.width - digits.size(), '0');
    out.replace(number.at, number.size, digits);
  }
  return out + ' ';
}

/// How many octets of `text` are the prefix, with any number where it has one; 0: none.
std::size_t prefix_at(std::string_view text, std::string_view prefix) {
  prefix = mail::trim(prefix);
  const Number number = number_in(prefix);
  const std::string_view before = prefix.substr(0, number.at);
  if (!text.starts_with(before)) return 0;
  std::size_t at = before.size();
  if (number.size > 0) {
    const std::size_t begin = at;
    while (at < text.size() && mail::is_digit(text[at])) ++at;
    const std::string_view behind = prefix.substr(number.at + number.size);
    if (at == begin || !text.substr(at).starts_with(behind)) return 0;
    at += behind.size();
  }
  return at;
}

std::size_t blanks(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::find_if_not(text, mail::is_space) - text.begin());
}

/// "Re: ", "AW: ", "SV: Re[2]: ": all of them that stand in front, with the blanks behind.
std::size_t answers(std::string_view text) {
  std::size_t at = blanks(text);
  for (;;) {
    const std::string_view rest = text.substr(at);
    std::size_t end = 0;
    for (const std::string_view word : {"re", "aw", "sv", "vs", "antw", "odp"})
      if (mail::starts_with(rest, word)) end = word.size();
    if (end == 0) return at;
    if (end < rest.size() && rest[end] == '[') {
      const std::size_t digits = end + 1;
      end = digits;
      while (end < rest.size() && mail::is_digit(rest[end])) ++end;
      if (end == digits || end == rest.size() || rest[end] != ']') return at;
      ++end;
    }
    if (end == rest.size() || rest[end] != ':') return at;
    ++end;
    at += end + blanks(rest.substr(end));
  }
}

/// Without the prefixes that it has anywhere.
std::string without(std::string_view text, std::string_view prefix) {
  std::string out;
  while (!text.empty()) {
    if (const std::size_t size = prefix_at(text, prefix); size > 0) {
      text.remove_prefix(size);
      if (out.empty() || mail::is_space(out.back())) text.remove_prefix(blanks(text));
      continue;
    }
    out += text.front();
    text.remove_prefix(1);
  }
  return out;
}

/// In its place: answers, prefix, rest.
std::string placed(std::string_view text, std::string_view prefix, std::uint32_t post) {
  const std::string bare = without(text, prefix);
  const std::size_t at = answers(bare);
  std::string own = prefix_of(prefix, post);
  const std::string_view rest = std::string_view(bare).substr(at);
  const bool ascii = mail::is_ascii(own);
  // A blank between two encoded words is not shown (RFC 2047 6.2), so it stands within the first; before other text it is.
  if (rest.empty() || (!ascii && !rest.starts_with("=?"))) own.pop_back();
  std::string out = bare.substr(0, at);
  if (ascii && (out.empty() || !mail::is_space(out.back()))) out += ' ';
  out += ascii ? own : mail::encoded_words(own) + (rest.empty() ? "" : " ");
  return out.append(rest);
}

}  // namespace

std::optional<std::string> prefix_fault(std::string_view prefix) {
  if (prefix.size() > 100) return "a prefix has at most 100 octets";
  if (!mail::is_utf8_text(prefix)) return "a prefix is one line of UTF-8 text without control characters";
  return std::nullopt;
}

std::optional<std::string> with_prefix(std::string_view value, std::string_view prefix, std::uint32_t post) {
  if (mail::trim(prefix).empty()) return std::nullopt;
  const std::string shown = mime::decoded_words(value, max_subject);
  const std::string own = prefix_of(prefix, post);
  const auto right = [&](std::string_view text) {
    const std::string_view rest = text.substr(answers(text));
    const std::size_t size = prefix_at(rest, prefix);
    const std::string_view behind = rest.substr(size);
    return size > 0 && rest.substr(0, size) == mail::trim(own) && answers(behind) == blanks(behind) &&
           without(behind, prefix).size() == behind.size();
  };
  if (right(shown)) return std::nullopt;
  // Encoded words hide it, or a "Re:": what they say is written anew. In a charset that is not UTF-8 it is left alone.
  const std::string plain = mail::unfolded(value);
  const bool hidden = plain.find("=?") != plain.npos &&
                      (without(shown, prefix) != shown || answers(shown) != answers(plain)) &&
                      (without(plain, prefix) == plain);
  if (hidden && mail::is_utf8_text(shown)) {
    const std::string text = placed(shown, prefix, post);
    return " " +
           (mail::is_ascii(text) ? std::string(mail::trim(text)) : mail::encoded_words(mail::trim(text)));
  }
  return placed(value, prefix, post);
}

}  // namespace spoold::list
