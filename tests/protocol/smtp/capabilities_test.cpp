// What a server offers in its reply to EHLO, as servers write it.
#include "protocol/smtp/capabilities.hpp"

#include <doctest/doctest.h>

using namespace spoold::smtp;

namespace {

Capabilities offered(const std::string& lines) {
  return capabilities({250, {}, "mx.example greets you\n" + lines});
}

}  // namespace

TEST_CASE("capabilities: keywords in any case, with parameters that nobody expects") {
  const Capabilities all = offered(
      "pipelining\n8BitMime\nSMTPUTF8 strange parameters\nstarttls now\nChunking 1\ndsn\nSize 100\n"
      "auth login PLAIN X-OTHER\nX-WHATEVER\n\n250");
  CHECK((all.pipelining && all.eight_bit && all.utf8 && all.starttls && all.chunking && all.dsn));
  CHECK((all.auth_login && all.auth_plain));
  CHECK(all.max_size == 100);
  CHECK_FALSE(capabilities({250, {}, "PIPELINING is my name"}).pipelining);
  CHECK_FALSE(offered("XPIPELINING\nPIPELINING2").pipelining);
}

TEST_CASE("capabilities: SIZE without a number, with 0, and with what is none, is no limit") {
  for (const char* line : {"SIZE", "SIZE 0", "SIZE x", "SIZE -1", "SIZE 99999999999999999999"}) {
    CAPTURE(line);
    CHECK(offered(line).size);
    CHECK_FALSE(offered(line).max_size.has_value());
  }
}

TEST_CASE("capabilities: LIMITS in any case; what is unknown or cannot be read is passed over") {
  const Capabilities all = offered("limits rcptmax=20 FUTURE=x MAILMAX=3 FLAG RCPTDomainMax=2");
  CHECK(all.rcpt_max == 20u);
  CHECK(all.mail_max == 3u);
  CHECK(all.rcpt_domain_max == 2u);
  const Capabilities bad = offered("LIMITS RCPTMAX=0 MAILMAX=many RCPTDOMAINMAX= =5 RCPTMAX");
  CHECK_FALSE(bad.rcpt_max.has_value());
  CHECK_FALSE(bad.mail_max.has_value());
  CHECK_FALSE(bad.rcpt_domain_max.has_value());
}
