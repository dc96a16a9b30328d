// A whole mail in memory, signed: what `spoolctl cook` shows, and a form that was converted. Copies that go out as they are stored:
// server/delivery/signing.hpp.
#pragma once
#include <string>
#include <string_view>

#include "server/auth/signing_keys.hpp"

namespace spoold::server {

struct SignMail {
  std::string domain,
      author;      // lower case; author: whose keys sign too, where it is another one; empty: nobody's
  TimePoint at{};  // t= of DKIM
  // DKIM2; empty: none
  std::string instance = {};  // auth::instance_field()
  std::string_view mail_from = {}, rcpt_to = {};
  TimePoint now{};  // its t=
};
/// The mail with its signatures in front; as it is, where no domain has a key.
std::string signed_mail(const SigningKeys& keys, const SignMail& how, std::string mail);

/// The value of h= of our Message-Instance.
std::string instance_value(const std::vector<mail::Field>& fields, std::string_view body_hash);

}  // namespace spoold::server
