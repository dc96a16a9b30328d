// Who reads an old state of the store, and for how long. A Read pins every page that was freed since it began:
// the file grows as long as it lives, and a process that was killed inside one pins them until somebody frees
// its slot. ReaderWatch compares the reader table with what it was at the look before. Guarantees: pure; a
// reader is named once, at the first look that finds it older than a look that it was already behind at.
// See also: Env::readers() and Env::check_readers(), Store::check_readers().
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace spoold::store {

/// One place of LMDB's reader table that is inside a transaction.
struct Reader {
  int pid = 0;
  std::uint64_t txn = 0;  // the transaction whose state it reads
};

struct OldReader {
  int pid = 0;
  std::chrono::milliseconds age{};  // at least
  std::uint64_t behind = 0;         // transactions committed since
};

/// What a look at the reader table found.
struct ReadersFound {
  int dead = 0;  // slots of processes that died; they are free again
  std::vector<OldReader> old;
};

class ReaderWatch {
 public:
  using Clock = std::chrono::steady_clock;
  /// `last`: the last transaction that was committed when `readers` was read.
  std::vector<OldReader> look(const std::vector<Reader>& readers, std::uint64_t last, Clock::time_point now);

 private:
  struct Seen {
    Clock::time_point since;
    bool named = false;
  };
  std::map<std::pair<int, std::uint64_t>, Seen> behind_;  // (pid, txn) of those behind at the last look
};

}  // namespace spoold::store
