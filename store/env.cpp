#include "store/env.hpp"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "store/broken.hpp"
#include "store/folder.hpp"
#include "store/key.hpp"

namespace spoold::store {
namespace {

constexpr std::size_t kept_reads = 16;
constexpr int held_commits = 16;
constexpr std::uint64_t plenty_of_map = 1ull << 30;  // 16 commits cannot fill it; with less nothing is held

using Kind = Error::Kind;

std::string words(int error) {
  return std::strerror(error);
}

Result<std::string> random_octets(std::size_t n) {
  std::string out(n, '\0');
  if (::getrandom(out.data(), n, 0) != static_cast<ssize_t>(n))
    return fail(Kind::io, "cannot read random octets: " + words(errno));
  return out;
}

}  // namespace

Result<std::unique_ptr<Env>> Env::open(const Settings& settings) {
  std::unique_ptr<Env> env(new Env);
  env->path_ = settings.path;
  env->read_only_ = settings.open == Settings::Open::read_only;
  const bool create = settings.open == Settings::Open::create;
  std::error_code error;
  const bool there = std::filesystem::exists(settings.path + "/data.mdb", error);
  if (error)
    return fail(Kind::io, "cannot look into the store's folder " + settings.path + ": " + error.message());
  if (!there && !create)
    return fail(Kind::not_found,
                "there is no store in " + settings.path + ": spoold makes it at its first start");
  if (!there)
    if (auto ok = make_folder(settings.path); !ok) return tl::unexpected(ok.error());
  if (auto ok = local_file_system(settings.path); !ok) return tl::unexpected(ok.error());
  if (!env->read_only_)
    if (auto ok = env->take_lock(); !ok) return tl::unexpected(ok.error());
  try {
    if (auto ok = env->map(settings); !ok) return tl::unexpected(ok.error());
    if (auto ok = env->tables(!env->read_only_); !ok) return tl::unexpected(ok.error());
  } catch (const Broken& broken) {
    return tl::unexpected(broken.error);
  }
  return env;
}

Env::~Env() {
  if (holding_ != nullptr) mdb_txn_abort(holding_);
  for (MDB_txn* txn : ended_reads_) mdb_txn_abort(txn);
  if (env_) mdb_env_close(env_);
  if (lock_ >= 0) ::close(lock_);
}

Result<void> Env::take_lock() {
  const std::string file = path_ + "/lock";
  lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (lock_ < 0) return fail(Kind::io, "cannot open " + file + ": " + words(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    char pid[32] = {};
    const auto n = ::pread(lock_, pid, sizeof pid - 1, 0);
    std::string holder(pid, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return fail(Kind::locked, "the store " + path_ + " is held by another process" +
                                  (holder.empty() ? "" : " (pid " + holder + ")") + ": stop it first");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  // Written over what is there: a full disk has no block for a file that was emptied first.
  if (::pwrite(lock_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()) ||
      ::ftruncate(lock_, static_cast<off_t>(pid.size())) != 0)
    return fail(Kind::io, "cannot write " + file + ": " + words(errno));
  return {};
}

Result<void> Env::map(const Settings& settings) {
  const std::string file = path_ + "/data.mdb";
  if (const int code = mdb_env_create(&env_)) return tl::unexpected(lmdb_error(code, "be set up"));
  mdb_env_set_maxdbs(env_, table_count + 8);
  mdb_env_set_maxreaders(env_, 1024);
  constexpr std::uint64_t at_least = 256ull << 20;
  const std::uint64_t page = 4096;
  std::uint64_t size = settings.max_size + std::max(settings.max_size / 4, at_least);
  if (settings.map_size) size = settings.map_size;
  mdb_env_set_mapsize(env_, size / page * page);
  unsigned flags = MDB_NOTLS;
  if (read_only_) flags |= MDB_RDONLY;
  if (const int code = mdb_env_open(env_, path_.c_str(), flags, 0640))
    return tl::unexpected(lmdb_error(code, "open " + file));

  if (auto ok = long_enough(); !ok) return ok;
  if (!read_only_) keep_file();
  int dead = 0;
  if (!read_only_) mdb_reader_check(env_, &dead);
  return {};
}

/// LMDB maps what its root names; a file that was cut would end the process with SIGBUS at the first touch. A file
/// that ends before its last page is sound where all that is missing is free: it was never written.
Result<void> Env::long_enough() {
  const std::string file = path_ + "/data.mdb";
  MDB_txn* txn = nullptr;
  MDB_envinfo info{};
  // The state that is judged must be the one that the transaction pins; a daemon beside us goes on meanwhile.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    if (const int code = begin_read(&txn)) return tl::unexpected(lmdb_error(code, "begin to read"));
    mdb_env_info(env_, &info);
    if (info.me_last_txnid == mdb_txn_id(txn)) break;
    end_read(std::exchange(txn, nullptr));
  }
  MDB_stat stat{};
  mdb_env_stat(env_, &stat);
  struct stat on_disk {};
  int fd = -1;
  mdb_env_get_fd(env_, &fd);
  const bool known = ::fstat(fd, &on_disk) == 0;
  const std::uint64_t end = info.me_last_pgno + 1, size = static_cast<std::uint64_t>(on_disk.st_size);
  const bool sound =
      info.me_last_txnid == 0 || size >= end * stat.ms_psize ||
      (txn != nullptr && all_free(fd, stat.ms_psize, info.me_last_txnid, size / stat.ms_psize, end));
  if (txn != nullptr) end_read(txn);
  if (!known) return fail(Kind::io, "cannot look at " + file + ": " + words(errno));
  if (!sound)
    return fail(Kind::corrupt,
                file + " ends at " + std::to_string(size) + " octets, but pages behind that are in " +
                    "use: it was cut, or copied while in use. Keep a copy of it, then put the last " +
                    "file that 'spoolctl backup' wrote in its place");
  return {};
}

/// After a commit: extends a file that ends before its last page, so that every copy of it is whole. What cannot
/// be done now is done after a later commit.
void Env::keep_file() {
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  const std::uint64_t end = (info.me_last_pgno + 1) * stat.ms_psize;
  if (end <= file_size_) return;
  int fd = -1;
  mdb_env_get_fd(env_, &fd);
  struct stat on_disk {};
  if (::fstat(fd, &on_disk) != 0) return;
  file_size_ = static_cast<std::uint64_t>(on_disk.st_size);
  if (file_size_ < end && ::ftruncate(fd, static_cast<off_t>(end)) == 0) file_size_ = end;
}

Result<void> Env::tables(bool create) {
  MDB_txn* txn = nullptr;
  if (const int code = mdb_txn_begin(env_, nullptr, read_only_ ? MDB_RDONLY : 0, &txn))
    return tl::unexpected(lmdb_error(code, "begin to read"));
  // The format is looked at before anything is made: a newer store is not touched.
  const int code = mdb_dbi_open(txn, table_names[0], 0, &dbis_[0]);
  const bool fresh = code == MDB_NOTFOUND;
  if (code && !fresh) {
    mdb_txn_abort(txn);
    return tl::unexpected(lmdb_error(code, "open table meta"));
  }
  std::unique_ptr<Write> txn_owner(new Write(*this, txn, TimePoint{}));
  Write& write = *txn_owner;
  if (fresh) {
    unsigned main = 0;
    MDB_stat entries{};
    if (mdb_dbi_open(txn, nullptr, 0, &main) == 0 && mdb_stat(txn, main, &entries) == 0 &&
        entries.ms_entries > 0)
      return fail(Kind::corrupt,
                  path_ + "/data.mdb is an LMDB file of another program, not a spoold store: set " +
                      "another [spool] path");
    if (!create)
      return fail(Kind::not_found, "the store in " + path_ + " is empty: spoold fills it at its first start");
  }
  if (!fresh) {
    const auto format = write.get(Table::meta, "format");
    if (!format)
      return fail(Kind::corrupt,
                  path_ + "/data.mdb is an LMDB file, but not a spoold store: set another [spool] path");
    const auto version = KeyReader(*format).u32();
    if (version > format_version)
      return fail(Kind::newer, "the store in " + path_ + " has format " + std::to_string(version) +
                                   ", this spoold knows format " + std::to_string(format_version) +
                                   ": upgrade spoold to the version that wrote it");
    if (version < format_version && !read_only_) write.put(Table::meta, "format", Key().u32(format_version));
  }
  for (std::size_t i = 0; i < table_count; ++i) {
    const int opened = mdb_dbi_open(txn, table_names[i], create ? MDB_CREATE : 0, &dbis_[i]);
    if (opened == MDB_NOTFOUND)
      return fail(Kind::newer, std::string("the store has no table ") + table_names[i] +
                                   " yet: start the new spoold once, it makes it");
    if (opened) return tl::unexpected(lmdb_error(opened, std::string("open table ") + table_names[i]));
  }
  if (fresh) {
    auto secret = random_octets(32), uuid = random_octets(16);
    if (!secret) return tl::unexpected(secret.error());
    if (!uuid) return tl::unexpected(uuid.error());
    write.put(Table::meta, "format", Key().u32(format_version));
    write.put(Table::meta, "secret", *secret);
    write.put(Table::meta, "uuid", *uuid);
    write.put(Table::meta, "node", Key().u16(0));
  }
  const auto read = [&](const char* key) -> std::string {
    return std::string(write.get(Table::meta, key).value_or(""));
  };
  secret_ = read("secret");
  uuid_ = read("uuid");
  const std::string node = read("node");
  if (secret_.size() != 32 || uuid_.size() != 16 || node.size() != 2)
    return fail(Kind::corrupt,
                "table meta of the store lacks its secret, uuid or node number: keep a copy of data.mdb, "
                "then put the last "
                "file of 'spoolctl backup' in its place");
  node_ = KeyReader(node).u16() & 0x3ff;
  if (const auto mark = write.get(Table::meta, "mark"))
    mark_ = written_mark_ = last_ = KeyReader(*mark).u64();
  // Also of a read-only transaction: an abort would forget the tables' handles.
  if (const int committed = commit(std::move(txn_owner)))
    return tl::unexpected(lmdb_error(committed, "commit its tables"));
  return fresh ? sync_folders(path_) : Result<void>();
}

Id Env::new_id(TimePoint now) {
  constexpr Id sequences = Id{1} << 12;
  const Id node = node_ << 12;
  const auto ms = static_cast<Id>(std::max<std::int64_t>(now.time_since_epoch().count(), 1));
  Id last = last_.load(std::memory_order_relaxed), id = 0;
  do {
    id = last + 1;
    if ((id & (sequences - 1)) == 0 || (id & ((Id{1} << 22) - 1)) >> 12 != node_)
      id = ((last >> 22) + 1) << 22 | node;  // this millisecond's sequence is used up
    id = std::max(id, ms << 22 | node);
  } while (!last_.compare_exchange_weak(last, id, std::memory_order_relaxed));
  return id;
}

std::unique_ptr<Write> Env::begin(TimePoint now) {
  MDB_txn* txn = nullptr;
  if (const int code = mdb_txn_begin(env_, nullptr, 0, &txn)) throw_lmdb(code, "begin to write");
  mark_ = written_mark_;  // an aborted transaction may have moved it on
  return std::unique_ptr<Write>(new Write(*this, txn, now));
}

int Env::commit(std::unique_ptr<Write> write) {
  int code = mdb_txn_commit(std::exchange(write->txn_, nullptr));
  // LMDB calls it EIO when a write of several pages ends midway: the first of them had room. Its root is not written
  // then, so nothing is unknown; a flush that failed is no different, as long as the root names none of its pages.
  if (code == EIO && disk_is_full(path_)) code = ENOSPC;
  if (code == 0) {
    written_mark_ = mark_;
    if (!read_only_) keep_file();
    hold_pages();
  } else {
    release_pages();  // the next attempt may need them
    if (code == ENOSPC || code == EDQUOT) ballast_.release(path_);
  }
  return code;
}

/// Pages that a commit made free are not reused before some more commits. LMDB takes them again as soon as it
/// may: then each commit's dozen pages of trees go wherever those of the last but one were, one here, one
/// there, and the disk needs as long for them as for 300 KB in one piece. Held for a while they are free in
/// runs, and most of a commit is one or two pieces (8 write calls instead of 15, a tenth more messages a
/// second).
void Env::hold_pages() {
  if (read_only_ || ++commits_since_held_ < held_commits) return;
  commits_since_held_ = 0;
  release_pages();
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  if (info.me_mapsize - info.me_last_pgno * stat.ms_psize < plenty_of_map) return;
  if (begin_read(&holding_) != 0) holding_ = nullptr;
  if (holding_ != nullptr) held_txn_ = mdb_txn_id(holding_);
}

void Env::release_pages() {
  held_txn_ = 0;
  if (holding_ != nullptr) end_read(std::exchange(holding_, nullptr));
}

int Env::begin_read(MDB_txn** out) const {
  MDB_txn* txn = nullptr;
  {
    const std::lock_guard lock(reads_mutex_);
    if (!ended_reads_.empty()) {
      txn = ended_reads_.back();
      ended_reads_.pop_back();
    }
  }
  if (txn == nullptr) {
    const int code = mdb_txn_begin(env_, nullptr, MDB_RDONLY, out);
    // The places of processes that were killed in a Read are free only when somebody looks.
    if (code != MDB_READERS_FULL || check_readers() == 0) return code;
    return mdb_txn_begin(env_, nullptr, MDB_RDONLY, out);
  }
  const int code = mdb_txn_renew(txn);
  if (code)
    mdb_txn_abort(txn);
  else
    *out = txn;
  return code;
}

void Env::end_read(MDB_txn* txn) const {
  mdb_txn_reset(txn);
  {
    const std::lock_guard lock(reads_mutex_);
    if (ended_reads_.size() < kept_reads) {
      ended_reads_.push_back(txn);
      return;
    }
  }
  mdb_txn_abort(txn);
}

std::uint64_t Env::used(std::uint64_t enough) const {
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  const std::uint64_t touched = (info.me_last_pgno + 1) * stat.ms_psize;
  if (touched <= enough) return touched;
  MDB_txn* txn = nullptr;
  if (begin_read(&txn)) return touched;
  // LMDB takes pages again that were freed before the oldest state that somebody reads. What our own hold_pages()
  // pins does not count: it is given back in a moment.
  std::size_t oldest = mdb_txn_id(txn);
  for (const Reader& reader : readers()) oldest = std::min<std::size_t>(oldest, reader.txn);
  MDB_cursor* cursor = nullptr;
  std::uint64_t free_pages = 0;
  if (mdb_cursor_open(txn, 0, &cursor) ==
      0) {  // table 0 is LMDB's own list of free pages: its values begin with a count
    MDB_val key{}, value{};
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
      std::size_t freed_by = 0, count = 0;
      std::memcpy(&freed_by, key.mv_data, std::min(sizeof freed_by, key.mv_size));
      if (freed_by >= oldest) break;
      std::memcpy(&count, value.mv_data, std::min(sizeof count, value.mv_size));
      free_pages += count;
    }
    mdb_cursor_close(cursor);
  }
  end_read(txn);
  return touched - std::min<std::uint64_t>(touched, free_pages * stat.ms_psize);
}

int Env::check_readers() const {
  int dead = 0;
  mdb_reader_check(env_, &dead);
  return dead;
}

std::vector<Reader> Env::readers() const {
  struct Found {
    std::vector<Reader> readers;
    int own_pid;
    std::uint64_t held;
  } found{{}, ::getpid(), held_txn_};
  // LMDB shows its table as text only: "pid thread txn", the last one "-" outside of a transaction; and a head.
  mdb_reader_list(
      env_,
      [](const char* line, void* context) {
        Found& f = *static_cast<Found*>(context);
        Reader reader;
        unsigned long long txn = 0;
        if (std::sscanf(line, "%d %*x %llu", &reader.pid, &txn) != 2) return 0;
        reader.txn = txn;
        if (reader.pid != f.own_pid || reader.txn != f.held) f.readers.push_back(reader);
        return 0;
      },
      &found);
  return std::move(found.readers);
}

std::uint64_t Env::last_txn() const {
  MDB_envinfo info{};
  mdb_env_info(env_, &info);
  return info.me_last_txnid;
}

}  // namespace spoold::store
