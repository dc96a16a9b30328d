// The least that durable acceptance can do: contents go to a file in the order they came, a group at a time,
// a write and a flush each, by a thread of its own; what comes meanwhile is the next group. The file is
// written in advance and begins again at its end, so that a flush has no sizes and no extents to write.
#pragma once
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "net.hpp"

namespace bench {

class GroupFile {
 public:
  explicit GroupFile(const std::string& path)
      : file_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)),
        event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (file_ < 0) die(path + ": " + std::strerror(errno));
    const std::string zeros(1 << 20, '\0');
    for (std::size_t at = 0; at < size; at += zeros.size()) put(zeros, at);
    flush();
    thread_ = std::thread([this] { run(); });
  }
  ~GroupFile() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
    close(file_);
    close(event_);
  }

  /// Answers the group that is durable when done() has reached it.
  std::uint64_t add(std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    if (gathering_.empty()) wake_.notify_one();
    gathering_ += bytes;
    return group_;
  }
  std::uint64_t done() const { return done_; }
  int event() const { return event_; }  // readable when done() has moved; the reader empties it

 private:
  static constexpr std::size_t size = 64 << 20;

  void put(std::string_view bytes, std::size_t at) const {
    while (!bytes.empty()) {
      const ssize_t n = pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) die(std::string("durable file: ") + std::strerror(errno));
      bytes.remove_prefix(static_cast<std::size_t>(n));
      at += static_cast<std::size_t>(n);
    }
  }
  void flush() const {
    if (fdatasync(file_) != 0) die(std::string("durable file: ") + std::strerror(errno));
  }
  void run() {
    std::string bytes;
    std::size_t at = 0;
    for (;;) {
      std::uint64_t group = 0;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return !gathering_.empty() || stopping_; });
        if (gathering_.empty()) return;
        bytes.clear();
        bytes.swap(gathering_);
        group = group_++;
      }
      if (at + bytes.size() > size) at = 0;
      put(bytes, at);
      at += bytes.size();
      flush();
      done_ = group;
      eventfd_write(event_, 1);
    }
  }

  int file_, event_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string gathering_;
  std::uint64_t group_ = 1;
  bool stopping_ = false;
  std::atomic<std::uint64_t> done_{0};
  std::thread thread_;
};

}  // namespace bench
