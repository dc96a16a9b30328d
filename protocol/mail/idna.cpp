#include "protocol/mail/idna.hpp"

#include <idn2.h>

#include "protocol/mail/ascii.hpp"

namespace spoold::mail {

std::string ascii_domain(const std::string& domain) {
  if (domain.size() > 1000 || is_ascii(domain) || domain.find('\0') != domain.npos) return domain;
  char* ascii = nullptr;
  if (idn2_to_ascii_8z(domain.c_str(), &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
    return domain;
  std::string out(ascii);
  idn2_free(ascii);
  return out;
}

}  // namespace spoold::mail
