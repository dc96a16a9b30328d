#include "store/data_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace spoold::store {
namespace {

// The layout of LMDB 0.9 on a 64-bit machine. A page: number u64, pad u16, flags u16, lower u16, upper u16, then
// offsets of nodes (u16 each) up to `lower`. A node: lo u16, hi u16, flags u16, key size u16, key, value. A meta
// page: behind the head magic u32, version u32, address u64, map size u64, two trees of 48 octets (root in the
// last 8), last page u64, transaction u64.
constexpr std::size_t head = 16;
constexpr std::uint32_t magic = 0xBEEFC0DE;
constexpr std::size_t meta_magic = 16, meta_free_root = 80, meta_last_page = 136, meta_txn = 144;
constexpr std::uint16_t branch_page = 1, leaf_page = 2, big_value = 1;
constexpr std::uint64_t no_page = ~std::uint64_t{0};
constexpr std::size_t deepest = 32;

template <class T>
T number(const std::string& from, std::size_t at) {
  T value{};
  if (at + sizeof value <= from.size()) std::memcpy(&value, from.data() + at, sizeof value);
  return value;
}

class FreeList {
 public:
  FreeList(int file, std::uint32_t page_size, std::uint64_t first, std::uint64_t end)
      : file_(file), page_size_(page_size), first_(first), free_(end - first) {}

  bool covers_all(std::uint64_t txn) {
    const auto meta = read_meta(file_, page_size_, txn);
    if (!meta) return false;
    const auto root = number<std::uint64_t>(*meta, meta_free_root);
    return root != no_page && tree(root, 0) && found_ == free_.size();
  }

 private:
  bool octets(std::uint64_t offset, std::string& into) const {
    return ::pread(file_, into.data(), into.size(), static_cast<off_t>(offset)) ==
           static_cast<ssize_t>(into.size());
  }

  bool tree(std::uint64_t page_number, std::size_t depth) {
    std::string page(page_size_, '\0');
    if (depth > deepest || !octets(page_number * page_size_, page)) return false;
    const auto flags = number<std::uint16_t>(page, 10);
    const auto lower = number<std::uint16_t>(page, 12);
    if (lower < head || lower > page_size_ || !(flags & (branch_page | leaf_page))) return false;
    for (std::size_t at = head; at + 2 <= lower; at += 2) {
      const std::size_t node = number<std::uint16_t>(page, at);
      if (node + 8 > page_size_) return false;
      const std::uint64_t lo = number<std::uint16_t>(page, node), hi = number<std::uint16_t>(page, node + 2);
      const std::uint64_t node_flags = number<std::uint16_t>(page, node + 4);
      if (flags & branch_page) {
        if (!tree(lo | hi << 16 | node_flags << 32, depth + 1)) return false;
        continue;
      }
      const std::size_t size = lo | hi << 16, value = node + 8 + number<std::uint16_t>(page, node + 6);
      if (!(node_flags & big_value)) {
        if (value + size > page_size_) return false;
        note(page.substr(value, size));
        continue;
      }
      std::string list(size, '\0');
      if (value + 8 > page_size_ || !octets(number<std::uint64_t>(page, value) * page_size_ + head, list))
        return false;
      note(list);
    }
    return true;
  }

  /// A count, then so many page numbers.
  void note(const std::string& list) {
    const auto count = number<std::uint64_t>(list, 0);
    for (std::size_t i = 1; i <= count && (i + 1) * 8 <= list.size(); ++i) {
      const auto page = number<std::uint64_t>(list, i * 8);
      if (page < first_ || page - first_ >= free_.size() || free_[page - first_]) continue;
      free_[page - first_] = true;
      ++found_;
    }
  }

  int file_;
  std::uint32_t page_size_;
  std::uint64_t first_, found_ = 0;
  std::vector<bool> free_;
};

}  // namespace

bool all_free(int file, std::uint32_t page_size, std::uint64_t txn, std::uint64_t first, std::uint64_t end) {
  return first >= end || FreeList(file, page_size, first, end).covers_all(txn);
}

std::optional<std::string> read_meta(int file, std::uint32_t page_size, std::uint64_t txn) {
  std::string meta(page_size, '\0');
  const auto n = ::pread(file, meta.data(), meta.size(), static_cast<off_t>((txn & 1) * page_size));
  if (n != static_cast<ssize_t>(meta.size()) || number<std::uint32_t>(meta, meta_magic) != magic ||
      txn_of(meta) != txn)
    return std::nullopt;
  return meta;
}

std::uint64_t last_page(const std::string& meta) {
  return number<std::uint64_t>(meta, meta_last_page);
}

std::uint64_t txn_of(const std::string& meta) {
  return number<std::uint64_t>(meta, meta_txn);
}

std::string meta_page(std::string meta, std::uint64_t page_number, std::uint64_t txn) {
  std::memcpy(meta.data(), &page_number, sizeof page_number);
  std::memcpy(meta.data() + meta_txn, &txn, sizeof txn);
  return meta;
}

/// What a new store is found by after a power cut: the entry of its file in the folder, and those of the folders.
/// Folders above that we may not read were there before us.
bool disk_is_full(const std::string& path) {
  struct statvfs disk {};
  return ::statvfs(path.c_str(), &disk) == 0 && std::uint64_t{disk.f_bavail} * disk.f_frsize < (1u << 20);
}

void Ballast::keep(const std::string& folder) {
  if (there_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  const std::string path = folder + "/ballast";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return;
  struct stat status {};
  const bool whole = ::fstat(file, &status) == 0 && status.st_blocks * 512 >= size;
  there_ = whole || ::posix_fallocate(file, 0, size) == 0;
  ::close(file);
  if (!there_) ::unlink(path.c_str());
}

void Ballast::release(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  there_ = false;
  ::unlink((folder + "/ballast").c_str());
}

}  // namespace spoold::store
