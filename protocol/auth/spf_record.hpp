// An SPF record (RFC 7208 4.6, 5, 6, 12): its terms, and the macro strings in them. The whole record is read before any
// of it is evaluated, because a syntax error anywhere makes the result permerror (4.6).
// Failures: one sentence that names the term.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "protocol/dns/records.hpp"

namespace spoold::auth {

/// A macro string, split (7.1). Literal text, or one macro.
struct MacroPart {
  std::string literal;
  char letter = 0;  // lower case; 0: literal text
  bool escape = false, reverse = false;
  std::size_t keep = 0;  // so many parts from the right; 0: all of them
  std::string delimiters;
};
using MacroString = std::vector<MacroPart>;

enum class MacroUse {
  name,        // domain-spec: ends in a top label or a macro; no c, r, t
  value,       // of a modifier that nobody knows: no c, r, t
  explanation  // explain-string: with blanks, c, r and t
};
/// Nothing when it breaks the grammar of that use.
std::optional<MacroString> parse_macros(std::string_view text, MacroUse use);

struct SpfMechanism {
  enum class Kind : std::uint8_t { all, include, a, mx, ptr, ip4, ip6, exists };
  Kind kind = Kind::all;
  char qualifier = '+';
  std::string text;    // as in the record, without the qualifier
  MacroString domain;  // empty: the current domain
  dns::Address network;
  int bits4 = 32, bits6 = 128;
};

struct SpfRecord {
  std::vector<SpfMechanism> mechanisms;
  std::optional<MacroString> redirect, explanation;

  /// "v=spf1", alone or before a blank, in any case (4.5).
  static bool is_one(std::string_view txt);
  static tl::expected<SpfRecord, std::string> parse(std::string_view txt);
};

}  // namespace spoold::auth
