// A consistent copy of a store beside its daemon, without one reader for the whole of it: a Read pins every page
// that is freed while it lives, and a copy of 30 GB takes minutes. So the copy slides from one state to the next:
// pages are copied under a Read of about a second; then a new Read begins before the old one ends. A page in use in
// both states is the same in both, because LMDB reuses no page that was freed since a state which somebody still
// reads. What was copied and is free now is forgotten, what is new is copied. The copy is whole when it holds every
// page of one state. Guarantees: the copy is that state, as a power cut would have left it; it is on the disk.
// Where more is written than copied the last state is read until its end. Failures: io, full (of the target).
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "store/error.hpp"

namespace spoold::store {

class Env;

struct BackupFigures {
  std::uint64_t octets = 0;        // of the copy; free pages are holes
  std::uint64_t copied = 0;        // octets written
  std::uint64_t states = 0;        // how many were read
  std::uint64_t longest_read = 0;  // milliseconds that one of them was read
};

/// `file` is empty and open for reading and writing. `between` is called about once a second, outside of any
/// transaction of LMDB's own; it may throw.
/// `one_state` is how long one Read lives.
Result<BackupFigures> backup(const Env&, int file, const std::function<void()>& between,
                             std::chrono::milliseconds one_state = std::chrono::seconds(1));

struct CompactFigures {
  std::uint64_t before = 0, after = 0;  // octets of data.mdb
};
/// Writes the store in `path` anew, without its free pages. Nobody else may hold it (Error locked). Needs as much
/// room on the disk as is in use. `dry_run`: only what it would come to.
Result<CompactFigures> compact(const std::string& path, std::uint64_t max_size, bool dry_run);

}  // namespace spoold::store
