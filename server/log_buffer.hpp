// Log lines on their way to a descriptor: many lines, one write(2): a fan-out logs a line a
// recipient.
//
// Guarantees: lines come out whole and in order; none waits longer than `patience`, nor longer than until
// 64 KiB wait, nor when it is urgent (a warning takes everything before it along). Without a running flusher
// every line is urgent. What a crash of the process leaves behind, rescue() still writes. Any thread.
// Failures: lines that the descriptor refuses are dropped: there is nobody to tell.
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>

namespace spoold::server::log {

class LineBuffer {
 public:
  static constexpr std::chrono::milliseconds patience{50};

  explicit LineBuffer(int descriptor) : descriptor_(descriptor) {}
  ~LineBuffer() { stop(); }
  LineBuffer(const LineBuffer&) = delete;
  LineBuffer& operator=(const LineBuffer&) = delete;

  void start();  // the flusher; from here on lines may wait
  void stop();   // writes what waits; lines are urgent again
  /// A line without its end.
  void add(std::string_view line, bool urgent);
  void flush();
  /// For a signal handler in a dying process: takes no lock.
  void rescue() noexcept;

 private:
  void put(std::string_view bytes);  // with the lock
  void write_out();                  // with the lock
  void run();

  const int descriptor_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::array<char, 65'536> bytes_{};
  std::atomic<std::size_t> size_{0};
  bool running_ = false;
  std::thread flusher_;
};

}  // namespace spoold::server::log
