// Rows that cannot be read: what `spoolctl check --repair` makes of them, so that everything else goes on and the loss is
// named. Only while no daemon runs: nothing may be claimed from what is being mended.
//
// due, claim         the row is deleted; the recipients that it covered are due again now, those of a claim as possible
//                    duplicates
// recipient          the recipient is held as a possible duplicate: an operator releases or removes it. One that an edit
//                    had added has lost its address with the row, and fails
// message, finished  the message is given up, with all rows of its recipients
// history, host, suspect, request   the row is deleted; what it told is lost
//
// Other tables are not mended: what their rows hold is nowhere else (the directory, contents, heads, addresses).
#pragma once
#include <array>
#include <string>
#include <vector>

#include "store/spool/edit.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

inline constexpr std::array mended_tables{Table::message, Table::finished,   Table::recipient, Table::due,
                                          Table::claim,   Table::history,    Table::host,      Table::suspect,
                                          Table::request, Table::post_blocks};

/// Throws Broken(corrupt) when the row cannot be read.
void read_row(Table, std::string_view key, std::string_view value);

/// Mends all rows of these tables, and all that followed from them. One sentence for each row.
std::vector<std::string> mend(Write&, const RouteOf&);

}  // namespace spoold::store::spool
