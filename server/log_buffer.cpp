#include "server/log_buffer.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <new>
#include <utility>

namespace spoold::server::log {
namespace {

constexpr std::size_t a_write = 65'536;  // so many octets wait for no company
constexpr std::size_t kept = 1 << 20;    // of a region that was used
constexpr std::size_t page = 4096;

void write_all(int descriptor, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
    if (n > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      pollfd ready{descriptor, POLLOUT, 0};
      if (::poll(&ready, 1, 1000) == 0) return;
    } else if (!(n < 0 && errno == EINTR)) {
      return;
    }
  }
}

}  // namespace

LineBuffer::Region::Region(std::size_t octets)
    : bytes(static_cast<char*>(::mmap(nullptr, octets, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))),
      capacity(octets) {
  if (bytes == MAP_FAILED) throw std::bad_alloc();
}

LineBuffer::Region::~Region() {
  ::munmap(bytes, capacity);
}

void LineBuffer::Region::give_back(std::size_t used) {
  const std::size_t end = used / page * page;
  if (end > kept) ::madvise(bytes + kept, end - kept, MADV_DONTNEED);
}

LineBuffer::LineBuffer(int descriptor, LostLine lost_line, std::size_t capacity)
    : descriptor_(descriptor), lost_line_(std::move(lost_line)), one_(capacity), two_(capacity) {}

LineBuffer::~LineBuffer() {
  stop();
  if (flusher_.joinable()) flusher_.join();
}

void LineBuffer::start() {
  const Lock lock(mutex_);
  if (running_ || alive_) return;
  running_ = alive_ = true;
  flusher_ = std::thread([this] { run(); });
}

bool LineBuffer::stop(std::chrono::milliseconds limit) {
  {
    Lock lock(mutex_);
    running_ = false;
    wake_.notify_all();
    if (!written_.wait_for(lock.inner(), limit, [this]() REQUIRES(mutex_) { return !alive_; })) return false;
  }
  if (flusher_.joinable()) flusher_.join();
  return true;
}

void LineBuffer::add(std::string_view line, bool urgent) {
  bool wake = false;
  {
    const Lock lock(mutex_);
    if (!alive_) {
      // Alone with the descriptor; waiting for it is all that is left.
      std::string whole(line);
      return write_all(descriptor_, whole += '\n');
    }
    const std::size_t before = filling_.load()->size.load(std::memory_order_relaxed);
    if (!put(line)) {
      ++lost_;
      return;
    }
    const bool enough = before < a_write && before + line.size() + 1 >= a_write;
    wake = before == 0 || enough || (urgent && !urgent_);
    urgent_ = urgent_ || urgent || enough;
  }
  if (wake) wake_.notify_one();
}

bool LineBuffer::put(std::string_view line) {
  Region& region = *filling_.load(std::memory_order_relaxed);
  const std::size_t at = region.size.load(std::memory_order_relaxed);
  // After a lost line everything is lost until the flusher has written the number: its place is right then.
  if (lost_ > 0 || region.capacity - at < line.size() + 1) return false;
  std::copy(line.begin(), line.end(), region.bytes + at);
  region.bytes[at + line.size()] = '\n';
  region.size.store(at + line.size() + 1, std::memory_order_release);
  return true;
}

bool LineBuffer::flush(std::chrono::milliseconds limit) {
  Lock lock(mutex_);
  if (!alive_) return true;
  // The round that is being written does not hold what was added last.
  const std::uint64_t wanted = rounds_ + (on_its_way_ ? 2 : 1);
  urgent_ = true;
  wake_.notify_one();
  return written_.wait_for(lock.inner(), limit, [&]() REQUIRES(mutex_) {
    return rounds_ >= wanted || !alive_ || (!on_its_way_ && filling_.load()->size == 0);
  });
}

void LineBuffer::rescue() noexcept {
  // What the flusher has comes first, and is its own: it is given a moment.
  for (int i = 0; i < 20 && on_its_way_; ++i) {
    const timespec moment{0, 5'000'000};
    ::nanosleep(&moment, nullptr);
  }
  Region& region = *filling_.load();
  write_all(descriptor_, {region.bytes, std::min(region.size.exchange(0), region.capacity)});
}

void LineBuffer::run() {
  Lock lock(mutex_);
  for (;;) {
    const auto waits = [this]() REQUIRES(mutex_) {
      return lost_ > 0 || filling_.load()->size.load(std::memory_order_relaxed) > 0;
    };
    wake_.wait(lock.inner(), [&]() REQUIRES(mutex_) { return !running_ || urgent_ || waits(); });
    wake_.wait_for(lock.inner(), patience, [this]() REQUIRES(mutex_) { return !running_ || urgent_; });
    urgent_ = false;
    if (!running_ && !waits()) break;
    on_its_way_ = true;
    Region& full = *filling_.exchange(writing_.load());
    writing_ = &full;
    const std::size_t size =
        full.size.exchange(0);  // emptied first: rescue() does not write it a second time
    const std::uint64_t lost = std::exchange(lost_, 0);
    lock.unlock();
    write_all(descriptor_, {full.bytes, size});
    if (lost > 0 && lost_line_) write_all(descriptor_, lost_line_(lost) + "\n");
    full.give_back(size);
    lock.lock();
    on_its_way_ = false;
    ++rounds_;
    written_.notify_all();
  }
  alive_ = false;
  written_.notify_all();
}

}  // namespace spoold::server::log
