// The steps of an import and of a sweep, each one job of at most about 20 ms; import_members() and
// sweep_all() in directory.hpp chain them. Here so that tests can stop between any two of them.
//
//   begin_import   an `import` row: from now on rows of this import are invisible
//   import_slice   rows of members, invisible
//   finish_import  the `import` row goes: all of them are members; moves the list's count and roster version
//   cut_off        instead of finish_import: sweep() will delete the rows
#pragma once
#include <functional>
#include <span>

#include "store/directory/rows.hpp"

namespace spoold::store::directory {

struct Incoming {
  std::string place;
  Member member;
};
/// Checked, in the order of the table, each address once.
Result<std::vector<Incoming>> sorted(std::vector<Member>);

inline constexpr std::size_t slice_rows = 2000;

Result<std::uint64_t> begin_import(Write&,
                                   ListId);  // the import's id; conflict: another one runs into this list
/// How many were members already (and stay as they are).
Result<std::uint64_t> import_slice(Write&, std::uint64_t import, std::span<const Incoming>, TimePoint now);
Result<std::uint64_t> finish_import(Write&, std::uint64_t import);  // how many it added
void cut_off(Write&, std::uint64_t import);

/// Runs one job and answers when it is committed or refused.
using Run = std::function<Result<void>(const std::function<Result<void>(Write&)>&)>;
/// `intake` may be refused when space is short; `change` must not be: it undoes what intake began.
Result<Imported> import_members(const Run& intake, const Run& change, ListId, std::vector<Member>,
                                TimePoint now);

}  // namespace spoold::store::directory
