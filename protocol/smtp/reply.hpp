// An SMTP reply: code, enhanced status (RFC 3463, 2034), text. Used for what we say and for what we hear.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spoold::smtp {

/// X.Y.Z of RFC 3463. 0.0.0 means: none was given.
struct EnhancedStatus {
  std::uint8_t klass = 0;
  std::uint16_t subject = 0, detail = 0;
  constexpr bool given() const { return klass != 0; }
  std::string text() const;  // "5.1.1", empty when not given
  static std::optional<EnhancedStatus> parse(std::string_view);
  bool operator==(const EnhancedStatus&) const = default;
};

struct Reply {
  int code = 0;
  EnhancedStatus enhanced;
  std::string text;  // lines joined by '\n', without code and enhanced status

  constexpr bool positive() const { return code >= 200 && code < 400; }
  constexpr bool completed() const { return code >= 200 && code < 300; }
  constexpr bool temporary() const { return code >= 400 && code < 500; }
  constexpr bool permanent() const { return code >= 500 && code < 600; }
  std::string wire() const;  // with CRLF, several lines as 250-...250 ...; CR and NUL in text become spaces
  void append_wire(std::string& out) const;  // the same, without an allocation of its own
  std::string oneline() const;               // "550 5.1.1 no such user", for logs and last_reply
  bool operator==(const Reply&) const = default;
};

}  // namespace spoold::smtp
