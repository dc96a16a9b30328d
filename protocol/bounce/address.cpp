#include "protocol/bounce/address.hpp"

#include <algorithm>
#include <array>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::bounce {
namespace {

constexpr std::size_t address_at_most = 320;
constexpr std::array<std::string_view, 6> schemes = {"smtp:",   "mailto:", "rfc822;",
                                                     "rfc822:", "smtp=",   "esmtp:"};

bool part_of_address(char c) {
  return mail::is_atext(c) || c == '.' || c == '@' || static_cast<unsigned char>(c) >= 0x80;
}

bool around(char c) {
  return mail::is_space(c) || std::string_view("<>()[]{}\"',;:.*|`").find(c) != std::string_view::npos;
}

std::string_view bare(std::string_view text) {
  for (bool more = true; more;) {
    more = false;
    while (!text.empty() && around(text.front())) text.remove_prefix(1);
    while (!text.empty() && around(text.back())) text.remove_suffix(1);
    for (const std::string_view scheme : schemes)
      if (mail::starts_with(text, scheme)) {
        text.remove_prefix(scheme.size());
        more = true;
      }
    // Quoted-printable that no header announces: a blank at the end of the line.
    for (const std::string_view blank : {"=20", "=A0"})
      if (text.ends_with(blank)) {
        text.remove_suffix(3);
        more = true;
      }
  }
  return text;
}

}  // namespace

std::string whole_address(std::string_view text) {
  text = mail::trim(text);
  if (text.size() > 4 * address_at_most) return {};
  // A quoted local part keeps its quotes.
  const bool quoted = text.find("\"@") != text.npos;
  std::string_view address = bare(text);
  if (quoted) {
    const std::size_t begin = text.find('"'), end = text.find_last_not_of("<>()[]{}',;:.* \t");
    address = text.substr(begin, end + 1 - begin);
  }
  if (address.empty() || address.size() > address_at_most) return {};
  const auto mailbox = Mailbox::parse(address, Mailbox::Allow::utf8);
  if (!mailbox || mailbox->domain().find('.') == std::string::npos) return {};
  return std::string(address);
}

std::string first_address(std::string_view text) {
  text = text.substr(0, 4 * address_at_most);
  text = mail::trim(text);
  for (bool more = true; more;) {
    more = false;
    while (!text.empty() && (around(text.front()) || text.front() == '-')) {
      if (text.front() == '"' && text.find("\"@") != text.npos) break;
      text.remove_prefix(1);
    }
    for (const std::string_view scheme : schemes)
      if (mail::starts_with(text, scheme)) {
        text.remove_prefix(scheme.size());
        more = true;
      }
  }
  if (!text.empty() && text.front() == '"') {
    const std::size_t at = text.find("\"@");
    std::size_t end = at + 2;
    while (end < text.size() && part_of_address(text[end])) ++end;
    return whole_address(text.substr(0, end));
  }
  const auto end = std::find_if_not(text.begin(), text.end(), part_of_address);
  return whole_address(text.substr(0, static_cast<std::size_t>(end - text.begin())));
}

std::string angle_address(std::string_view text) {
  for (std::size_t open = text.find('<'); open != text.npos; open = text.find('<', open + 1)) {
    const std::size_t close = text.substr(0, open + address_at_most).find('>', open);
    if (close == text.npos) continue;
    std::string address = whole_address(text.substr(open + 1, close - open - 1));
    if (!address.empty()) return address;
  }
  return {};
}

std::vector<std::string> addresses_in(std::string_view text, std::size_t most) {
  std::vector<std::string> found;
  for (std::size_t at = text.find('@'); at != text.npos && found.size() < most; at = text.find('@', at + 1)) {
    std::size_t begin = at, end = at + 1;
    while (begin > 0 && at - begin < 65 && part_of_address(text[begin - 1]) && text[begin - 1] != '@')
      --begin;
    while (end < text.size() && end - at < 256 && part_of_address(text[end]) && text[end] != '@') ++end;
    std::string address = whole_address(text.substr(begin, end - begin));
    if (!address.empty()) found.push_back(std::move(address));
  }
  return found;
}

}  // namespace spoold::bounce
