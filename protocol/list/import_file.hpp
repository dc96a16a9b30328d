// Files of members, as people have them: one address or `Name <addr>` a line (what other list managers
// export), or CSV with a header line that names a column `email` or `address`, and perhaps `name` and
// `delivery`. Understood without asking: a byte order mark, CRLF, blank lines, lines that begin with '#',
// quotes with commas or line ends inside (CSV), tabs or semicolons instead of commas (CSV). Guarantees:
// linear; an address that comes twice counts once (the first), whatever its case. Failures: every bad line
// with its number and the reason, or the members; never both.
#pragma once
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "protocol/list/settings.hpp"

namespace spoold::list {

struct BadLine {
  std::size_t number = 0;  // from 1; of a CSV record its first line
  std::string text;        // at most 80 octets of it
  std::string reason;
};

struct ImportFile {
  std::vector<Member> members;
  std::size_t repeated = 0;  // lines whose address had come before
};

tl::expected<ImportFile, std::vector<BadLine>> read_import_file(std::string_view text);

/// regular, digest, nomail, nomail_by_user ... : how a delivery mode is written in files and by `member set`.
const char* text(Delivery);
std::string_view delivery_values();
bool parse_delivery(std::string_view text, Delivery&);

}  // namespace spoold::list
