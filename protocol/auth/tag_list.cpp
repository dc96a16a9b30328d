#include "protocol/auth/tag_list.hpp"

#include <algorithm>

#include "protocol/auth/lookups.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::auth {
namespace {

bool is_tag_name(std::string_view name) {
  return !name.empty() && mail::is_alpha(name.front()) && std::all_of(name.begin(), name.end(), [](char c) {
    return mail::is_alpha(c) || mail::is_digit(c) || c == '_';
  });
}

bool is_tag_value(std::string_view value) {
  return std::all_of(value.begin(), value.end(),
                     [](char c) { return (c > ' ' && c <= '~') || mail::is_space(c); });
}

}  // namespace

tl::expected<TagList, std::string> TagList::parse(std::string_view text) {
  TagList list;
  while (!text.empty()) {
    const auto end = std::min(text.find(';'), text.size());
    const std::string_view spec = mail::trim(text.substr(0, end));
    const bool last = end == text.size();
    text.remove_prefix(last ? end : end + 1);
    if (spec.empty() && last) break;
    const auto equals = spec.find('=');
    const std::string_view name = mail::trim(spec.substr(0, equals));
    if (equals == std::string_view::npos || !is_tag_name(name))
      return tl::unexpected("'" + printable(spec) + "' is not a tag");
    const std::string_view value = mail::trim(spec.substr(equals + 1));
    if (!is_tag_value(value))
      return tl::unexpected("the tag " + printable(name) + "= has a character that is not allowed");
    if (list.find(name)) return tl::unexpected("the tag " + printable(name) + "= stands twice");
    list.tags_.emplace_back(name, value);
  }
  return list;
}

std::optional<std::string_view> TagList::find(std::string_view name) const {
  for (const auto& [tag, value] : tags_)
    if (tag == name) return value;
  return std::nullopt;
}

std::string without_folding(std::string_view text) {
  std::string out(text);
  out.erase(std::remove_if(out.begin(), out.end(), mail::is_space), out.end());
  return out;
}

std::vector<std::string_view> colon_list(std::string_view text) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto colon = std::min(text.find(':', begin), text.size());
    parts.push_back(mail::trim(text.substr(begin, colon - begin)));
    begin = colon + 1;
  }
  return parts;
}

}  // namespace spoold::auth
