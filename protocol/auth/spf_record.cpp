#include "protocol/auth/spf_record.hpp"

#include <algorithm>
#include <charconv>

#include "protocol/auth/lookups.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::auth {
namespace {

constexpr std::string_view version = "v=spf1", delimiters = ".-+,/_=";

bool alphanumeric(char c) {
  return mail::is_alpha(c) || mail::is_digit(c);
}

/// toplabel (7.1): letters, digits and hyphens inside, not digits only.
bool is_top_label(std::string_view label) {
  if (label.empty() || !alphanumeric(label.front()) || !alphanumeric(label.back())) return false;
  if (!std::all_of(label.begin(), label.end(), [](char c) { return alphanumeric(c) || c == '-'; }))
    return false;
  return !std::all_of(label.begin(), label.end(), mail::is_digit);
}

/// "%{ir2.}" without "%{" and "}".
std::optional<MacroPart> parse_macro(std::string_view inside, MacroUse use) {
  if (inside.empty()) return std::nullopt;
  MacroPart part;
  part.letter = mail::lower(inside.front());
  part.escape = part.letter != inside.front();
  const std::string_view known = use == MacroUse::explanation ? "slodiphvcrt" : "slodiphv";
  if (known.find(part.letter) == std::string_view::npos) return std::nullopt;
  inside.remove_prefix(1);
  const auto digits = std::min(inside.find_first_not_of("0123456789"), inside.size());
  if (digits > 0) {
    // However large the number is: no name has more labels than 127.
    std::size_t keep = 0;
    for (const char digit : inside.substr(0, digits))
      keep = std::min<std::size_t>(1000, keep * 10 + static_cast<std::size_t>(digit - '0'));
    if (keep == 0) return std::nullopt;
    part.keep = keep;
    inside.remove_prefix(digits);
  }
  if (!inside.empty() && mail::lower(inside.front()) == 'r') {
    part.reverse = true;
    inside.remove_prefix(1);
  }
  if (inside.find_first_not_of(delimiters) != std::string_view::npos) return std::nullopt;
  part.delimiters = inside;
  return part;
}

bool literal_passes(char c, MacroUse use) {
  return (c > ' ' && c <= '~' && c != '%') || (c == ' ' && use == MacroUse::explanation);
}

}  // namespace

std::optional<MacroString> parse_macros(std::string_view text, MacroUse use) {
  MacroString parts;
  std::size_t end_of_macro = 0;  // where the last macro ends
  const auto literal = [&parts](std::string_view octets) {
    if (parts.empty() || parts.back().letter != 0) parts.emplace_back();
    parts.back().literal += octets;
  };
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '%') {
      if (!literal_passes(text[i], use)) return std::nullopt;
      literal(text.substr(i++, 1));
      continue;
    }
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (next == '{') {
      const auto close = text.find('}', i);
      if (close == std::string_view::npos) return std::nullopt;
      auto macro = parse_macro(text.substr(i + 2, close - i - 2), use);
      if (!macro) return std::nullopt;
      parts.push_back(std::move(*macro));
      i = close + 1;
    } else if (next == '%' || next == '_' || next == '-') {
      literal(next == '%' ? "%" : next == '_' ? " " : "%20");
      i += 2;
    } else {
      return std::nullopt;
    }
    end_of_macro = i;
  }
  if (use != MacroUse::name) return parts;
  // domain-end (7.1)
  if (text.empty()) return std::nullopt;
  if (end_of_macro == text.size()) return parts;
  std::string_view tail = text.substr(end_of_macro);
  if (tail.ends_with('.')) tail.remove_suffix(1);
  const auto dot = tail.rfind('.');
  if (dot == std::string_view::npos || !is_top_label(tail.substr(dot + 1))) return std::nullopt;
  return parts;
}

namespace {

/// The number behind a slash (12): no leading zeros.
std::optional<int> prefix_length(std::string_view digits, int most) {
  if (digits.empty() || digits.size() > 3 || (digits.size() > 1 && digits.front() == '0'))
    return std::nullopt;
  int value = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 0 || value > most)
    return std::nullopt;
  return value;
}

/// Takes "/24" off the end of `text`, or "//64" with two slashes. False: what is there is none.
bool take_length(std::string_view& text, std::string_view slashes, int most, int& bits) {
  const auto digits = text.find_last_not_of("0123456789");
  const auto begin = digits == std::string_view::npos ? 0 : digits + 1;
  if (!text.substr(0, begin).ends_with(slashes)) return true;
  const auto length = prefix_length(text.substr(begin), most);
  if (!length) return false;
  bits = *length;
  text.remove_suffix(text.size() - begin + slashes.size());
  return true;
}

/// [":" domain-spec] [dual-cidr-length], or the parts of it that `kind` has.
bool parse_domain(SpfMechanism& mechanism, std::string_view rest, bool required, bool with_lengths) {
  if (with_lengths &&
      (!take_length(rest, "//", 128, mechanism.bits6) || !take_length(rest, "/", 32, mechanism.bits4)))
    return false;
  if (rest.empty()) return !required;
  if (rest.front() != ':') return false;
  auto domain = parse_macros(rest.substr(1), MacroUse::name);
  if (!domain) return false;
  mechanism.domain = std::move(*domain);
  return true;
}

bool parse_network(SpfMechanism& mechanism, std::string_view rest, bool v6) {
  if (rest.empty() || rest.front() != ':') return false;
  rest.remove_prefix(1);
  if (!take_length(rest, "/", v6 ? 128 : 32, v6 ? mechanism.bits6 : mechanism.bits4)) return false;
  const auto network = dns::parse_ip(rest);
  if (!network || network->v6 != v6) return false;
  mechanism.network = *network;
  return true;
}

bool parse_mechanism(SpfMechanism& mechanism) {
  const std::string_view text = mechanism.text;
  const auto end = std::min(text.find_first_of(":/"), text.size());
  const std::string name = mail::lower(text.substr(0, end));
  const std::string_view rest = text.substr(end);
  using Kind = SpfMechanism::Kind;
  const auto as = [&mechanism](Kind kind) { return mechanism.kind = kind, true; };
  if (name == "all") return as(Kind::all) && rest.empty();
  if (name == "include") return as(Kind::include) && parse_domain(mechanism, rest, true, false);
  if (name == "a") return as(Kind::a) && parse_domain(mechanism, rest, false, true);
  if (name == "mx") return as(Kind::mx) && parse_domain(mechanism, rest, false, true);
  if (name == "ptr") return as(Kind::ptr) && parse_domain(mechanism, rest, false, false);
  if (name == "ip4") return as(Kind::ip4) && parse_network(mechanism, rest, false);
  if (name == "ip6") return as(Kind::ip6) && parse_network(mechanism, rest, true);
  if (name == "exists") return as(Kind::exists) && parse_domain(mechanism, rest, true, false);
  return false;
}

/// Where the '=' of a modifier stands (6): behind a name, in front of any ':' or '/'.
std::size_t equals_of_modifier(std::string_view term) {
  const auto end = std::find_if(term.begin(), term.end(),
                                [](char c) { return !alphanumeric(c) && c != '-' && c != '_' && c != '.'; });
  const bool modifier =
      end != term.end() && *end == '=' && end != term.begin() && mail::is_alpha(term.front());
  return modifier ? static_cast<std::size_t>(end - term.begin()) : std::string_view::npos;
}

bool parse_modifier(SpfRecord& record, std::string_view name, std::string_view value) {
  const bool redirect = mail::same(name, "redirect");
  if (!redirect && !mail::same(name, "exp")) return parse_macros(value, MacroUse::value).has_value();
  auto& slot = redirect ? record.redirect : record.explanation;
  if (slot) return false;  // twice (6)
  slot = parse_macros(value, MacroUse::name);
  return slot.has_value();
}

}  // namespace

bool SpfRecord::is_one(std::string_view txt) {
  return mail::starts_with(txt, version) && (txt.size() == version.size() || txt[version.size()] == ' ');
}

tl::expected<SpfRecord, std::string> SpfRecord::parse(std::string_view txt) {
  SpfRecord record;
  for (std::size_t begin = version.size(); begin < txt.size();) {
    const auto end = std::min(txt.find(' ', begin), txt.size());
    const std::string_view term = txt.substr(begin, end - begin);
    begin = end + 1;
    if (term.empty()) continue;
    bool passes = false;
    if (const auto equals = equals_of_modifier(term); equals != std::string_view::npos) {
      passes = parse_modifier(record, term.substr(0, equals), term.substr(equals + 1));
    } else {
      SpfMechanism mechanism;
      const bool qualified = std::string_view("+-?~").find(term.front()) != std::string_view::npos;
      if (qualified) mechanism.qualifier = term.front();
      mechanism.text = term.substr(qualified ? 1 : 0);
      passes = parse_mechanism(mechanism);
      record.mechanisms.push_back(std::move(mechanism));
    }
    if (!passes)
      return tl::unexpected("'" + printable(term) + "' is not a term of SPF, or breaks its syntax");
  }
  return record;
}

}  // namespace spoold::auth
