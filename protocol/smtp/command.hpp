// One command line of RFC 5321 section 4.1, as a client sends it.
// Guarantees: split() allocates nothing and its views point into the line. MAIL and RCPT paths become
// Mailboxes, so what passes is well-formed; source routes (<@a,@b:user@c>) are accepted and ignored (RFC
// 5321 4.1.1.3). A domain of U-labels becomes one of A-labels (Mailbox).
// Failures: a Reply that says what is wrong, ready to be sent: 501 syntax, 550 and 553 5.6.7 a non-ASCII path without SMTPUTF8
// (RFC 6531 3.5), 530 5.7.10 REQUIRETLS without TLS, 555 5.5.4 unknown parameter, 504 5.5.4 a parameter's value that is known but not offered. See also:
// server_dialog.hpp (which command is allowed when), protocol/mail/mailbox.hpp.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include <tl/expected.hpp>

#include "protocol/mail/mailbox.hpp"
#include "protocol/smtp/dsn_request.hpp"
#include "protocol/smtp/reply.hpp"

namespace spoold::smtp {

enum class Verb : std::uint8_t {
  helo,
  ehlo,
  lhlo,
  mail,
  rcpt,
  data,
  bdat,
  rset,
  noop,
  vrfy,
  help,
  quit,
  starttls,
  auth,
  xclient,
  elsewhere,  // a command of some RFC that is not offered here: EXPN, ETRN, TURN
  unknown,
};

struct Command {
  Verb verb = Verb::unknown;
  std::string_view word;      // the verb as sent
  std::string_view argument;  // the rest, without spaces at either end
};

/// Splits a line (without its CRLF). Verbs are compared without regard to case.
Command split(std::string_view line);

/// What MAIL and RCPT may say on this connection, besides what they may say on each.
struct PathRules {
  bool auth = false;  // MAIL: AUTH (RFC 4954 5). It is not followed: whoever is authenticated sends
  bool tls = false;   // MAIL: REQUIRETLS (RFC 8689)
  bool utf8 = false;  // RCPT: MAIL came with SMTPUTF8
};

/// "FROM:<path> [parameters]". No mailbox: the null reverse path <>.
struct MailArgument {
  std::optional<Mailbox> reverse_path;
  std::uint64_t size = 0;    // RFC 1870; 0: not declared
  bool eight_bit = false;    // BODY=8BITMIME (RFC 6152)
  bool binary = false;       // BODY=BINARYMIME (RFC 3030)
  bool utf8 = false;         // SMTPUTF8 (RFC 6531)
  bool require_tls = false;  // REQUIRETLS (RFC 8689)
  DsnOfMessage dsn;          // RET, ENVID (RFC 3461)
};
tl::expected<MailArgument, Reply> parse_mail(std::string_view argument, const PathRules& rules = {});

/// "TO:<path>". No mailbox: <postmaster> without a domain (RFC 5321 4.5.1).
struct RcptArgument {
  std::optional<Mailbox> forward_path;
  DsnOfRecipient dsn;  // NOTIFY, ORCPT (RFC 3461)
};
tl::expected<RcptArgument, Reply> parse_rcpt(std::string_view argument, const PathRules& rules = {});

/// What VRFY asks for: a string, and SMTPUTF8 (RFC 6531 3.7.4.2), which changes nothing here: no reply to it holds an address.
std::optional<Reply> vrfy_fault(std::string_view argument);

/// "SIZE [LAST]" of BDAT (RFC 3030 section 2).
struct BdatArgument {
  std::uint64_t size = 0;
  bool last = false;
};
tl::expected<BdatArgument, Reply> parse_bdat(std::string_view argument);

/// The domain or literal of HELO, EHLO, LHLO: its first word, 1 to 255 visible ASCII characters. Whether it is a domain is not
/// judged: many clients have no name, and no mail may be refused because of it (RFC 5321 4.1.4).
tl::expected<std::string_view, Reply> parse_hello(std::string_view argument);

}  // namespace spoold::smtp
