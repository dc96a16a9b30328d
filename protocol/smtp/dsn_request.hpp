// What a sender asks of reports on his mail: the parameters of MAIL and RCPT of the DSN extension (RFC 3461).
// Values are kept in the encoding in which they came (xtext, RFC 3461 4) and go on octet for octet (5.2.1
// (d)). Guarantees: what was read is within the limits of RFC 3461 4.2, 4.4 and 5.4, and decodes to printable
// ASCII. Writing appends to the caller's string and allocates nothing else. Failures: 501 5.5.4. See also:
// command.hpp, smtp/dsn.hpp (the reports themselves).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/smtp/reply.hpp"

namespace spoold::smtp {

enum class Ret : std::uint8_t { absent, full, headers };

struct DsnOfMessage {
  Ret ret = Ret::absent;
  std::string envid;  // xtext; empty: not given
  bool given() const { return ret != Ret::absent || !envid.empty(); }
  bool operator==(const DsnOfMessage&) const = default;
};

/// Bits of NOTIFY. never stands alone.
enum Notify : std::uint8_t { notify_never = 1, notify_success = 2, notify_failure = 4, notify_delay = 8 };

struct DsnOfRecipient {
  std::uint8_t notify = 0;  // 0: not given, which asks for failures and allows delays (RFC 3461 4.1)
  std::string orcpt;        // addr-type ";" xtext; empty: not given
  bool given() const { return notify != 0 || !orcpt.empty(); }
  bool wants_failure() const { return notify == 0 || (notify & notify_failure) != 0; }
  bool wants_delay() const { return notify == 0 || (notify & notify_delay) != 0; }
  bool wants_success() const { return (notify & notify_success) != 0; }
  bool operator==(const DsnOfRecipient&) const = default;
};

/// NOTIFY for the targets of an alias with several: a success is reported where the alias is expanded (RFC
/// 3461 5.2.7.3 (c)). What asked for nothing else becomes NEVER: absent would ask for failures.
std::uint8_t without_success(std::uint8_t notify);

// One parameter's value into the request; a Reply: it is refused (syntax, or given twice).
std::optional<Reply> take_ret(DsnOfMessage&, std::string_view value);
std::optional<Reply> take_envid(DsnOfMessage&, std::string_view value);
std::optional<Reply> take_notify(DsnOfRecipient&, std::string_view value);
/// `utf8`: MAIL came with SMTPUTF8, so an address of type utf-8 may hold UTF-8 (utf-8-addr-unitext, RFC 6533 3). It is kept as
/// utf-8-addr-xtext, which may go anywhere.
std::optional<Reply> take_orcpt(DsnOfRecipient&, std::string_view value, bool utf8 = false);

/// " RET=HDRS ENVID=..."; nothing for what was not given.
void append_parameters(std::string& out, const DsnOfMessage&);
/// " NOTIFY=... ORCPT=..."; nothing for what was not given.
void append_parameters(std::string& out, const DsnOfRecipient&);
/// " NOTIFY=FAILURE ORCPT=rfc822;<address>": for a list's copies. The list is their originator (RFC 3461
/// 5.2.7.1).
void append_member_parameters(std::string& out, std::string_view address);

/// An address as ORCPT has it: "rfc822;..." in xtext, or "utf-8;..." as RFC 6533 3 writes it in ASCII
/// (utf-8-addr-xtext).
void append_orcpt(std::string& out, std::string_view address);

/// The octets behind xtext that was read by take_*().
std::string decode_xtext(std::string_view xtext);

}  // namespace spoold::smtp
