// What a server offers in its reply to EHLO or LHLO (RFC 5321 4.1.1.1), as far as our client uses it.
#pragma once
#include <cstdint>
#include <optional>

#include "protocol/smtp/reply.hpp"

namespace spoold::smtp {

struct Capabilities {
  bool pipelining = false;                                           // RFC 2920
  bool eight_bit = false;                                            // RFC 6152
  bool utf8 = false;                                                 // RFC 6531; then eight_bit too
  bool binary = false;                                               // RFC 3030
  bool require_tls = false;                                          // RFC 8689
  bool starttls = false;                                             // RFC 3207
  bool chunking = false;                                             // RFC 3030
  bool dsn = false;                                                  // RFC 3461
  bool auth_plain = false, auth_login = false;                       // RFC 4954
  bool size = false;                                                 // RFC 1870
  std::optional<std::uint64_t> max_size;                             // absent: SIZE without a number, or 0
  std::optional<std::uint32_t> mail_max, rcpt_max, rcpt_domain_max;  // RFC 9422 LIMITS
};

/// Unknown keywords and malformed parameters are passed over.
Capabilities capabilities(const Reply& ehlo);

}  // namespace spoold::smtp
