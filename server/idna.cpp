#include "server/idna.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/idna.hpp"

namespace spoold::server {
namespace {

bool beyond_ascii(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}

}  // namespace

std::string ascii_domains(std::string_view text) {
  std::string out;
  if (std::none_of(text.begin(), text.end(), beyond_ascii)) return std::string(text);
  while (!text.empty()) {
    const auto at = text.find('@');
    const auto before = text.substr(0, at == std::string_view::npos ? text.size() : at + 1);
    out += before;
    text.remove_prefix(before.size());
    const auto end = std::find_if(text.begin(), text.end(), [](char c) {
      return !beyond_ascii(c) && !mail::is_alpha(c) && !mail::is_digit(c) && c != '.' && c != '-';
    });
    const auto size = at == std::string_view::npos ? 0 : static_cast<std::size_t>(end - text.begin());
    out += mail::ascii_domain(std::string(text.substr(0, size)));
    text.remove_prefix(size);
  }
  return out;
}

}  // namespace spoold::server
