#include "protocol/mail/mailto.hpp"

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::mail {

std::string mailto(std::string_view address) {
  constexpr char hex[] = "0123456789ABCDEF";
  const Address parts(address);
  std::string out = "mailto:";
  for (const char c : parts.local) {
    if (is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      const auto octet = static_cast<unsigned char>(c);
      out += '%';
      out += hex[octet >> 4];
      out += hex[octet & 15];
    }
  }
  out += '@';
  return out += parts.domain;
}

}  // namespace spoold::mail
