#include "store/backup.hpp"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/broken.hpp"
#include "store/data_file.hpp"
#include "store/env.hpp"
#include "store/folder.hpp"

namespace spoold::store {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = Error::Kind;
using Pages = std::vector<bool>;
constexpr std::uint64_t most_states = 3600;
constexpr std::size_t pages_at_once = 256;

[[noreturn]] void io_failed(const char* what, int error) {
  const bool full = error == ENOSPC || error == EDQUOT;
  throw Broken(full ? Kind::full : Kind::io,
               std::string("the copy cannot be ") + what + ": " + std::strerror(error));
}

void read_at(int file, std::uint64_t offset, std::string& into) {
  for (std::size_t done = 0; done < into.size();) {
    const auto n = ::pread(file, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Broken(Kind::io, std::string("data.mdb cannot be read: ") + std::strerror(errno));
    if (n == 0) {  // behind the end of the file: a page that was never written, so nobody reads it
      std::memset(into.data() + done, 0, into.size() - done);
      return;
    }
    done += static_cast<std::size_t>(n);
  }
}

void write_at(int file, std::uint64_t offset, const std::string& from) {
  for (std::size_t done = 0; done < from.size();) {
    const auto n = ::pwrite(file, from.data() + done, from.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) io_failed("written", errno);
    done += static_cast<std::size_t>(n);
  }
}

/// One state of the store, pinned while it lives.
class State {
 public:
  explicit State(const Env& env) : env_(env) {
    mdb_env_get_fd(env.handle(), &file_);
    MDB_stat stat{};
    mdb_env_stat(env.handle(), &stat);
    page_size_ = stat.ms_psize;
    // The root of a state is overwritten by the second commit after it. It is read at once; where commits were
    // quicker, a later state is begun.
    for (int attempt = 0; attempt < 10'000; ++attempt) {
      if (const int code = env.begin_read(&txn_)) throw_lmdb(code, "begin to read");
      if (auto meta = read_meta(file_, page_size_, mdb_txn_id(txn_))) {
        meta_ = std::move(*meta);
        break;
      }
      env.end_read(std::exchange(txn_, nullptr));
    }
    if (!txn_)
      throw Broken(Kind::io, "the root of the store cannot be read: too much is written at this moment");
    used_.assign(last_page(meta_) + 1, true);
    find_free();
  }
  ~State() {
    if (txn_) env_.end_read(txn_);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  const Pages& used() const { return used_; }
  const std::string& meta() const { return meta_; }
  std::uint32_t page_size() const { return page_size_; }
  int file() const { return file_; }
  Clock::duration age() const { return Clock::now() - began_; }

 private:
  /// Table 0 of LMDB: values are a count and so many page numbers.
  void find_free() {
    MDB_cursor* cursor = nullptr;
    if (const int code = mdb_cursor_open(txn_, 0, &cursor)) throw_lmdb(code, "read its free list");
    MDB_val key{}, value{};
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
      const auto number = [&](std::size_t i) {
        std::size_t n = 0;
        if ((i + 1) * sizeof n <= value.mv_size)
          std::memcpy(&n, static_cast<const char*>(value.mv_data) + i * sizeof n, sizeof n);
        return n;
      };
      for (std::size_t i = 1, count = number(0); i <= count; ++i)
        if (const auto page = number(i); page > 1 && page < used_.size()) used_[page] = false;
    }
    mdb_cursor_close(cursor);
  }

  const Env& env_;
  const Clock::time_point began_ = Clock::now();
  MDB_txn* txn_ = nullptr;
  int file_ = -1;
  std::uint32_t page_size_ = 0;
  std::string meta_;
  Pages used_;
};

class Copy {
 public:
  Copy(const Env& env, int target, Clock::duration one_state)
      : env_(env), target_(target), one_state_(one_state) {}

  BackupFigures run(const std::function<void()>& between) {
    std::optional<State> states[2];
    int now = 0;
    states[now].emplace(env_);
    figures_.states = 1;
    while (!copy(*states[now])) {
      note_age(*states[now]);
      between();
      states[1 - now].emplace(env_);  // before the old one ends: what is in use in both is the same
      states[now].reset();
      now = 1 - now;
      ++figures_.states;
      forget(states[now]->used());
    }
    const State& whole = *states[now];
    for (const std::uint64_t page : {0u, 1u})
      write_at(target_, page * whole.page_size(), meta_page(whole.meta(), page, txn_of(whole.meta())));
    figures_.octets = whole.used().size() * whole.page_size();
    note_age(whole);
    states[now].reset();
    if (::ftruncate(target_, static_cast<off_t>(figures_.octets)) != 0) io_failed("extended", errno);
    if (::fsync(target_) != 0) io_failed("flushed to the disk", errno);
    return figures_;
  }

 private:
  void note_age(const State& state) {
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(state.age()).count();
    figures_.longest_read = std::max(figures_.longest_read, static_cast<std::uint64_t>(age));
  }

  /// Pages that were free in between may hold something else when they are in use again.
  void forget(const Pages& used) {
    copied_.resize(used.size());
    for (std::size_t page = 0; page < used.size(); ++page)
      if (!used[page]) copied_[page] = false;
  }

  /// Copies what is missing of this state, while it is young; true: nothing is missing.
  bool copy(const State& state) {
    const Pages& used = state.used();
    copied_.resize(used.size());
    std::string octets;
    bool any = false;  // at least one run a state, however slow the disk
    for (std::size_t page = 2; page < used.size();) {
      if (!used[page] || copied_[page]) {
        ++page;
        continue;
      }
      if (any && state.age() >= one_state_ && figures_.states < most_states) return false;
      any = true;
      std::size_t end = page;
      while (end < used.size() && end - page < pages_at_once && used[end] && !copied_[end])
        copied_[end++] = true;
      octets.resize((end - page) * state.page_size());
      read_at(state.file(), page * state.page_size(), octets);
      write_at(target_, page * state.page_size(), octets);
      figures_.copied += octets.size();
      page = end;
    }
    return true;
  }

  const Env& env_;
  const int target_;
  const Clock::duration one_state_;
  Pages copied_;  // the target holds them as they are in the state that is read
  BackupFigures figures_;
};

/// Closed at the end, and gone unless it was kept.
class NewFile {
 public:
  explicit NewFile(std::string path)
      : path_(std::move(path)), file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640)) {
    if (file_ < 0) throw Broken(Kind::io, "cannot make " + path_ + ": " + std::strerror(errno));
  }
  ~NewFile() {
    ::close(file_);
    if (!kept_) ::unlink(path_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  int get() const { return file_; }
  void rename(const std::string& to) {
    if (::rename(path_.c_str(), to.c_str()) != 0) io_failed("put in its place", errno);
    kept_ = true;
  }

 private:
  std::string path_;
  int file_;
  bool kept_ = false;
};

}  // namespace

Result<BackupFigures> backup(const Env& env, int file, const std::function<void()>& between,
                             std::chrono::milliseconds one_state) {
  try {
    return Copy(env, file, one_state).run(between);
  } catch (const Broken& broken) {
    return tl::unexpected(broken.error);
  }
}

Result<CompactFigures> compact(const std::string& path, std::uint64_t max_size, bool dry_run) {
  const std::string data = path + "/data.mdb";
  struct stat status {};
  if (::stat(data.c_str(), &status) != 0)
    return fail(Kind::not_found, "there is no store in " + path + ": spoold makes it at its first start");
  CompactFigures figures{static_cast<std::uint64_t>(status.st_size), 0};
  const auto how = dry_run ? Env::Settings::Open::read_only : Env::Settings::Open::existing;
  auto env = Env::open({.path = path, .max_size = max_size, .open = how, .map_size = 0});
  if (!env) return tl::unexpected(env.error());
  if (dry_run) {
    figures.after = (*env)->used(0);
    return figures;
  }
  try {
    NewFile copy(data + ".compact");
    MDB_stat stat{};
    mdb_env_stat((*env)->handle(), &stat);
    if (const int code = mdb_env_copyfd2((*env)->handle(), copy.get(), MDB_CP_COMPACT))
      return tl::unexpected(lmdb_error(code, "write its compact copy"));
    // LMDB's copy begins to count transactions anew, in one of its two roots. A process that still reads the old
    // file shares the lock file with the next daemon, and with it the number of the last transaction: so both
    // roots are the new one, under a number above.
    auto meta = read_meta(copy.get(), stat.ms_psize, 1);
    if (!meta) return fail(Kind::io, "the compact copy has no root");
    const std::uint64_t next = (*env)->last_txn() + 1;
    for (const std::uint64_t page : {0u, 1u})
      write_at(copy.get(), page * stat.ms_psize, meta_page(*meta, page, next));
    if (::fsync(copy.get()) != 0) io_failed("flushed to the disk", errno);
    if (::fstat(copy.get(), &status) == 0) figures.after = static_cast<std::uint64_t>(status.st_size);
    copy.rename(data);
  } catch (const Broken& broken) {
    return tl::unexpected(broken.error);
  }
  if (auto ok = sync_folders(path); !ok) return tl::unexpected(ok.error());
  return figures;
}

}  // namespace spoold::store
