#include "protocol/auth/lookups.hpp"

#include "protocol/mail/ascii.hpp"

namespace spoold::auth {

bool is_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (std::size_t begin = 0; begin <= name.size();) {
    const auto dot = std::min(name.find('.', begin), name.size());
    if (dot == begin || dot - begin > 63) return false;
    begin = dot + 1;
  }
  return true;
}

std::string as_name(std::string_view domain) {
  if (domain.ends_with('.')) domain.remove_suffix(1);
  return mail::lower(domain);
}

bool within(std::string_view name, std::string_view domain) {
  if (!name.ends_with(domain)) return false;
  return name.size() == domain.size() || name[name.size() - domain.size() - 1] == '.';
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200)) out += c < ' ' || c > '~' ? '?' : c;
  return out;
}

}  // namespace spoold::auth
