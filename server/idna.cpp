#include "server/idna.hpp"

#include <idn2.h>

#include <algorithm>

#include "protocol/mail/ascii.hpp"

namespace spoold::server {
namespace {

bool beyond_ascii(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}

}  // namespace

std::string ascii_domain(const std::string& domain) {
  if (domain.size() > 1000 || std::none_of(domain.begin(), domain.end(), beyond_ascii)) return domain;
  char* ascii = nullptr;
  if (idn2_to_ascii_8z(domain.c_str(), &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
    return domain;
  std::string out(ascii);
  idn2_free(ascii);
  return out;
}

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
    out += ascii_domain(std::string(text.substr(0, size)));
    text.remove_prefix(size);
  }
  return out;
}

}  // namespace spoold::server
