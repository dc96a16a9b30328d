// What was found out about a message on arrival, as one value: SPF of the client, the signatures of DKIM and DKIM2, DMARC of the
// author's domain. Reception makes it (server/inbound/verification), the office and the log read it.
//
// refusal() is the policy: [smtp] spf, dmarc and dkim2. A failure of DNS is a temporary refusal, and only where the policy would
// refuse: where a further attempt can change the result.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/auth/dkim.hpp"
#include "protocol/auth/dkim2.hpp"
#include "protocol/auth/dmarc.hpp"
#include "protocol/auth/iprev.hpp"
#include "protocol/auth/spf.hpp"
#include "protocol/smtp/reply.hpp"

namespace spoold::auth {

struct Verified {
  std::string client;             // its address, for replies: "192.0.2.1"
  std::optional<SpfVerdict> spf;  // nothing: not asked
  bool helo = false;              // SPF judged the name in HELO, because the reverse path is empty
  std::vector<DkimVerdict> dkim;  // the topmost signature first
  std::optional<Dkim2Verdict> dkim2 =
      {};                             // nothing: the message has no signature of DKIM2, or none was verified
  std::optional<DmarcVerdict> dmarc;  // nothing: neither DKIM nor DMARC was verified ([smtp] dmarc = "off")
  std::optional<Iprev> iprev;         // of the client; nothing: not asked
  std::vector<std::string> listed;    // DNS lists that have the client
  /// By a trusted network, a user or LMTP: no policy of reception and no Authentication-Results, only lists ask for it.
  bool handed_over = false;
};

/// The domains that SPF and DKIM vouch for.
std::vector<Identifier> identifiers(const std::optional<SpfVerdict>&, const std::vector<DkimVerdict>&);

/// Which of them refused it, for counters.
struct Refusal {
  enum class By : std::uint8_t { spf, dmarc, dkim2 } by = By::spf;
  smtp::Reply reply;
};
/// Nothing: the message is accepted, as far as this policy is concerned. Codes: RFC 7372 3.
std::optional<Refusal> refusal(const Verified&, const conf::Smtp& policy);

/// "spf=pass dkim=pass,fail dkim2=pass dmarc=none iprev=pass dnsbl=list.example", for logs.
std::string summary(const Verified&);

}  // namespace spoold::auth
