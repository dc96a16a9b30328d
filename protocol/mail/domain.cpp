#include "protocol/mail/domain.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"

namespace spoold::mail {

namespace {

bool is_ipv4(std::string_view text) {
  for (int part = 0; part < 4; ++part) {
    std::size_t digits = 0;
    int value = 0;
    while (digits < text.size() && is_digit(text[digits]) && digits < 3)
      value = value * 10 + (text[digits++] - '0');
    if (digits == 0 || value > 255 || (digits > 1 && text[0] == '0')) return false;
    text.remove_prefix(digits);
    if (part == 3) return text.empty();
    if (text.empty() || text.front() != '.') return false;
    text.remove_prefix(1);
  }
  return false;
}

bool is_ipv6(std::string_view text) {
  int groups = 0;
  bool gap = false;
  if (text.substr(0, 2) == "::") {
    gap = true;
    text.remove_prefix(2);
    if (text.empty()) return true;
  }
  for (;;) {
    std::size_t digits = 0;
    auto is_hex = [](char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); };
    while (digits < text.size() && digits < 4 && is_hex(text[digits])) ++digits;
    if (digits < text.size() && text[digits] == '.') {  // the last 32 bits written as IPv4
      groups += 2;
      return is_ipv4(text) && (gap ? groups <= 7 : groups == 8);
    }
    if (digits == 0) return false;
    ++groups;
    text.remove_prefix(digits);
    if (text.empty()) break;
    if (text.front() != ':') return false;
    text.remove_prefix(1);
    if (!text.empty() && text.front() == ':') {
      if (gap) return false;
      gap = true;
      text.remove_prefix(1);
      if (text.empty()) break;
    }
  }
  return gap ? groups <= 7 : groups == 8;
}

}  // namespace

std::optional<std::string> domain_fault(std::string_view domain) {
  if (domain.empty()) return "the domain is missing";
  if (domain.size() > 255) return "the domain is longer than 255 octets";
  std::size_t label = 0;
  for (std::size_t i = 0; i <= domain.size(); ++i) {
    char c = i < domain.size() ? domain[i] : '.';
    if (c == '.') {
      if (label == 0)
        return i == domain.size() ? "the domain ends with a dot" : "the domain has an empty label";
      if (label > 63) return "a label of the domain is longer than 63 octets";
      if (domain[i - 1] == '-') return "a label of the domain ends with a hyphen";
      label = 0;
    } else if (is_alpha(c) || is_digit(c) || (c == '-' && label > 0)) {
      ++label;
    } else if (c == '-') {
      return "a label of the domain begins with a hyphen";
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      return "the domain must be written in its A-label form (xn--...)";
    } else {
      return "the domain has a character other than letters, digits, hyphens and dots";
    }
  }
  return {};
}

std::optional<std::string> mail_domain_fault(std::string_view domain) {
  if (domain.find('_') == std::string_view::npos) return domain_fault(domain);
  std::string letters(domain);
  std::replace(letters.begin(), letters.end(), '_', 'x');
  return domain_fault(letters);
}

std::optional<std::string> address_literal_fault(std::string_view literal) {
  if (literal.size() < 3 || literal.front() != '[' || literal.back() != ']')
    return "the address literal is not closed by ]";
  std::string_view inside = literal.substr(1, literal.size() - 2);
  if (starts_with(inside, "IPv6:")) {
    if (!is_ipv6(inside.substr(5))) return "the address literal is not an IPv6 address";
  } else if (!is_ipv4(inside)) {
    return "the address literal is neither an IPv4 address nor [IPv6:...]";
  }
  return {};
}

}  // namespace spoold::mail
