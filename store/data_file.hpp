// data.mdb as a file, beside LMDB: is it as long as it must be, and may it grow. LMDB never writes pages that one
// transaction puts and deletes again, but counts them as pages of the file: so a sound file may end before its last
// page, when all pages behind its end are free. Guarantees: reads by pread() only, so that a page which is not
// there is an answer, not a SIGBUS. See also: env.cpp (who asks).
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "store/error.hpp"

namespace spoold::store {

/// Whether all pages in [first, end) are on the free list of transaction `txn`, one of the last two. False also
/// when its list cannot be read. The caller holds a read transaction on `txn`.
bool all_free(int file, std::uint32_t page_size, std::uint64_t txn, std::uint64_t first, std::uint64_t end);

/// The root of transaction `txn` (page txn % 2 of the file); nothing when the page holds another one, or none.
std::optional<std::string> read_meta(int file, std::uint32_t page_size, std::uint64_t txn);
std::uint64_t last_page(const std::string& meta);
std::uint64_t txn_of(const std::string& meta);
/// The same root as page `number` of a file, with another transaction's number.
std::string meta_page(std::string meta, std::uint64_t number, std::uint64_t txn);

/// Whether the file system of this folder has no room for one more write of LMDB (1 MiB at most).
bool disk_is_full(const std::string& path);

/// A file of 16 MiB beside data.mdb that holds nothing: it is deleted when a commit finds the disk full, so that the
/// next one, which settles, removes or starts, has room. (Blocks behind the end of data.mdb itself would cost every
/// commit that grows it: each flush then writes the file system's journal twice.) Any thread.
class Ballast {
 public:
  static constexpr std::int64_t size = 16ll << 20;
  /// Makes it, where it is not. To be called when the disk has room.
  void keep(const std::string& folder);
  void release(const std::string& folder);

 private:
  std::mutex mutex_;
  std::atomic<bool> there_{false};
};

}  // namespace spoold::store
