#include "protocol/auth/dmarc_record.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "protocol/auth/lookups.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::auth {
namespace {

using Tags = std::vector<std::pair<std::string_view, std::string_view>>;

/// Nothing: no DMARC record.
std::optional<Tags> tags_of(std::string_view txt) {
  Tags tags;
  if (txt.empty()) return std::nullopt;
  for (bool first = true; !txt.empty(); first = false) {
    const auto end = std::min(txt.find(';'), txt.size());
    const std::string_view spec = mail::trim(txt.substr(0, end));
    txt.remove_prefix(std::min(end + 1, txt.size()));
    const auto equals = spec.find('=');
    const std::string_view name = mail::trim(spec.substr(0, equals));
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : mail::trim(spec.substr(equals + 1));
    if (first) {
      if (!mail::same(name, "v") || value != "DMARC1") return std::nullopt;
      continue;
    }
    if (equals == std::string_view::npos) continue;  // ignored outright (4.8)
    const bool twice =
        name == "v" || std::any_of(tags.begin(), tags.end(), [&](const auto& t) { return t.first == name; });
    if (twice) return std::nullopt;
    tags.emplace_back(name, value);
  }
  return tags;
}

std::optional<std::string_view> find(const Tags& tags, std::string_view name) {
  for (const auto& [tag, value] : tags)
    if (tag == name) return value;
  return std::nullopt;
}

std::optional<DmarcPolicy> policy_of(std::string_view value) {
  for (const DmarcPolicy policy : {DmarcPolicy::none, DmarcPolicy::quarantine, DmarcPolicy::reject})
    if (mail::same(value, text(policy))) return policy;
  return std::nullopt;
}

/// RFC 3986 3: a scheme, a colon, and characters of URIs; commas and exclamation marks are encoded. "!10m" may follow.
bool is_report_uri(std::string_view uri) {
  if (const auto mark = uri.rfind('!'); mark != std::string_view::npos) {
    std::string_view size = uri.substr(mark + 1);
    if (!size.empty() && std::string_view("kmgt").find(mail::lower(size.back())) != std::string_view::npos)
      size.remove_suffix(1);
    if (size.empty() || !std::all_of(size.begin(), size.end(), mail::is_digit)) return false;
    uri = uri.substr(0, mark);
  }
  const auto colon = uri.find(':');
  if (colon == std::string_view::npos || colon == 0 || !mail::is_alpha(uri.front())) return false;
  const auto of_scheme = [](char c) {
    return mail::is_alpha(c) || mail::is_digit(c) || c == '+' || c == '-' || c == '.';
  };
  const auto of_uri = [](char c) {
    return c > ' ' && c <= '~' && std::string_view("\"<>\\^`{|}!,").find(c) == std::string_view::npos;
  };
  return std::all_of(uri.begin(), uri.begin() + static_cast<std::ptrdiff_t>(colon), of_scheme) &&
         std::all_of(uri.begin(), uri.end(), of_uri);
}

bool asks_for_reports(const Tags& tags) {
  const auto rua = find(tags, "rua");
  if (!rua) return false;
  for (std::size_t begin = 0; begin <= rua->size();) {
    const auto comma = std::min(rua->find(',', begin), rua->size());
    if (is_report_uri(mail::trim(rua->substr(begin, comma - begin)))) return true;
    begin = comma + 1;
  }
  return false;
}

}  // namespace

const char* text(DmarcPolicy policy) {
  constexpr const char* names[] = {"none", "quarantine", "reject"};
  return names[static_cast<std::size_t>(policy)];
}

std::optional<DmarcRecord> DmarcRecord::parse(std::string_view txt) {
  const auto tags = tags_of(txt);
  if (!tags) return std::nullopt;
  DmarcRecord record;
  record.text = txt;
  const auto is = [&](std::string_view name, std::string_view value) {
    const auto given = find(*tags, name);
    return given && mail::same(*given, value);
  };
  record.strict_dkim = is("adkim", "s");
  record.strict_spf = is("aspf", "s");
  record.testing = is("t", "y");
  if (is("psd", "y")) record.psd = Psd::yes;
  if (is("psd", "n")) record.psd = Psd::no;

  const auto policy = [&](std::string_view name) {
    const auto given = find(*tags, name);
    const auto known = given ? policy_of(*given) : std::nullopt;
    if (given && !known) record.fault = std::string(name) + "=" + printable(*given) + " is not a policy";
    return known;
  };
  record.policy = policy("p").value_or(DmarcPolicy::none);  // 4.7: absent is none
  record.subdomains = policy("sp");
  record.nonexistent = policy("np");
  if (!record.fault.empty() && asks_for_reports(*tags)) {
    record.policy = DmarcPolicy::none;
    record.subdomains.reset();
    record.nonexistent.reset();
    record.fault.clear();
  }
  return record;
}

}  // namespace spoold::auth
