// The steps of an import and of a sweep, each one job of at most about 20 ms; import_members() and
// sweep_all() in store/blocking.hpp chain them. Here so that tests can stop between any two of them.
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

/// The import's id (0: the next one). conflict: another import into this list is running.
Result<ImportId> begin_import(Write&, ListId, ImportId import = 0);
/// How many were members already (and stay as they are). `written` gets the members whose rows were written.
Result<std::uint64_t> import_slice(Write&, ImportId, std::span<const Incoming>, TimePoint now,
                                   std::vector<Member>* written = nullptr);
/// How many members it added. `list`: as it is then.
Result<std::uint64_t> finish_import(Write&, ImportId, List* list = nullptr);
void cut_off(Write&, ImportId);

/// Submits an operation and answers when it is committed or refused.
using Submit = std::function<Result<Applied>(Operation)>;
/// The operations of one import, in order; after an error CutImport undoes what the others began.
Result<Imported> import_members(const Submit&, ListId, std::vector<Member>, const std::string& who);

}  // namespace spoold::store::directory
