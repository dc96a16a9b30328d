// A DMARC Policy Record (RFC 9989 4.7, 4.8). Only a record that begins with "v=DMARC1" is one; a tag that stands twice makes
// it none (RFC 6376 3.2). Unknown tags and tags of RFC 7489 (pct, rf, ri) are ignored; a value that breaks its syntax counts
// as absent, but for p, sp and np (4.10.1): these make the record one of p=none when it asks for reports, else invalid.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spoold::auth {

enum class DmarcPolicy : std::uint8_t { none, quarantine, reject };
const char* text(DmarcPolicy);

struct DmarcRecord {
  enum class Psd : std::uint8_t { unknown, yes, no };

  std::string text;  // as it was published
  DmarcPolicy policy = DmarcPolicy::none;
  std::optional<DmarcPolicy> subdomains, nonexistent;  // sp, np
  bool strict_dkim = false, strict_spf = false, testing = false;
  Psd psd = Psd::unknown;
  std::string fault;  // not empty: no DMARC processing by this record (4.10.1)

  /// Nothing: it is not a DMARC record, and is discarded.
  static std::optional<DmarcRecord> parse(std::string_view txt);
};

}  // namespace spoold::auth
