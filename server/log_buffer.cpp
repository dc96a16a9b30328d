#include "server/log_buffer.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace spoold::server::log {
namespace {

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

void LineBuffer::start() {
  const std::lock_guard lock(mutex_);
  if (running_) return;
  running_ = true;
  flusher_ = std::thread([this] { run(); });
}

void LineBuffer::stop() {
  {
    const std::lock_guard lock(mutex_);
    running_ = false;
    write_out();
  }
  wake_.notify_all();
  if (flusher_.joinable()) flusher_.join();
}

void LineBuffer::add(std::string_view line, bool urgent) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    const std::size_t before = size_.load(std::memory_order_relaxed);
    put(line);
    put("\n");
    if (urgent || !running_)
      write_out();
    else
      first = before == 0;
  }
  if (first) wake_.notify_one();
}

void LineBuffer::flush() {
  const std::lock_guard lock(mutex_);
  write_out();
}

void LineBuffer::rescue() noexcept {
  write_all(descriptor_, {bytes_.data(), std::min(size_.exchange(0), bytes_.size())});
}

void LineBuffer::put(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t at = size_.load(std::memory_order_relaxed);
    const std::size_t part = std::min(bytes.size(), bytes_.size() - at);
    std::copy_n(bytes.data(), part, bytes_.data() + at);
    size_.store(at + part, std::memory_order_release);
    bytes.remove_prefix(part);
    if (at + part == bytes_.size()) write_out();
  }
}

void LineBuffer::write_out() {
  // Emptied first: what is on its way here is not rescued a second time.
  write_all(descriptor_, {bytes_.data(), size_.exchange(0)});
}

void LineBuffer::run() {
  std::unique_lock lock(mutex_);
  while (running_) {
    wake_.wait(lock, [this] { return !running_ || size_.load(std::memory_order_relaxed) > 0; });
    wake_.wait_for(lock, patience, [this] { return !running_; });
    write_out();
  }
}

}  // namespace spoold::server::log
