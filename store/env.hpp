// The LMDB environment of one store folder: data.mdb and lock.mdb (LMDB's), lock (ours: one daemon, flock
// with its pid). Guarantees: default sync (a commit is on the disk before it returns), no WRITEMAP, readers
// without thread-local state. open() refuses: network file systems, a folder that another process holds, an
// unknown format, a damaged file; each text says what to do. read_only opens beside a running daemon.
// Failures: Error with kind locked, newer, corrupt, not_found, io, invalid.
// See also: txn.hpp (what is done inside), writer.hpp (who makes Writes), README.md (format).
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "protocol/time.hpp"
#include "store/data_file.hpp"
#include "store/error.hpp"
#include "store/id.hpp"
#include "store/readers.hpp"
#include "store/tables.hpp"
#include "store/txn.hpp"

struct MDB_env;
struct MDB_txn;

namespace spoold::store {

inline constexpr std::uint32_t format_version = 2;  // 1: no tails in the rows of contents

class Env {
 public:
  struct Settings {
    std::string path;
    std::uint64_t max_size = 32ull << 30;  // of [spool]; the map is larger (room to breathe)
    enum class Open { create, existing, read_only } open = Open::create;
    std::uint64_t map_size = 0;  // tests: the exact size of the map instead
  };
  static Result<std::unique_ptr<Env>> open(const Settings&);
  ~Env();
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  /// The one write transaction; made and finished on the writer thread (or before it starts).
  std::unique_ptr<Write> begin(TimePoint now);
  /// 0, or the error number of the commit. Whatever it answers, the transaction is over.
  int commit(std::unique_ptr<Write>);

  /// Octets in use: all pages ever touched less those that may be written again. A free page that a reader pins
  /// counts as used. Scans the free list when the file has passed `enough`.
  std::uint64_t used(std::uint64_t enough) const;
  const std::string& path() const { return path_; }
  const std::string& secret() const { return secret_; }  // 32 random octets, made with the store
  const std::string& uuid() const { return uuid_; }
  bool read_only() const { return read_only_; }
  /// At open: the first id that this process can give; all ids of earlier ones are below.
  Id first_new() const { return last_ + 1; }
  /// A new id of this node: max(last + 1, clock). Any thread; never given twice by this process. Write::covers() makes it
  /// safe from the next one.
  Id new_id(TimePoint now);
  /// Frees the reader slots of processes that died; their number. Any thread; one pass over at most 1,024 slots.
  int check_readers() const;
  /// Who is inside a read transaction now, in all processes; without the reader by which hold_pages() pins.
  std::vector<Reader> readers() const;
  /// The disk has room: keeps some of it for the time when it has none (data_file.hpp).
  void keep_ballast() { ballast_.keep(path_); }
  std::uint64_t last_txn() const;  // the last transaction that was committed

  MDB_env* handle() const { return env_; }
  /// For Read, any thread: 0 and a transaction, or an error number. A few that ended are kept for the next
  /// ones: to make one costs as much as several reads in it.
  int begin_read(MDB_txn** out) const;
  void end_read(MDB_txn*) const;
  unsigned dbi(Table t) const { return dbis_[static_cast<std::size_t>(t)]; }

 private:
  friend class Write;
  Env() = default;
  Result<void> take_lock();
  Result<void> map(const Settings&);
  Result<void> long_enough();
  void keep_file();
  Result<void> tables(bool create);
  void hold_pages();
  void release_pages();

  std::string path_, secret_, uuid_;
  bool read_only_ = false;
  int lock_ = -1;
  MDB_env* env_ = nullptr;
  mutable std::mutex reads_mutex_;
  mutable std::vector<MDB_txn*> ended_reads_;  // they hold a reader's slot, but no page of the file
  std::array<unsigned, table_count> dbis_{};
  MDB_txn* holding_ = nullptr;              // see hold_pages()
  std::atomic<std::uint64_t> held_txn_{0};  // its transaction; 0: none
  int commits_since_held_ = 0;
  std::uint64_t file_size_ = 0;  // data.mdb is at least so long
  Ballast ballast_;
  // Ids: `mark` in meta is above every id in the store; it is moved on about once a second, not at each id.
  std::atomic<Id> last_{0};
  Id mark_ = 0, written_mark_ = 0;
  std::uint64_t node_ = 0;
};

}  // namespace spoold::store
