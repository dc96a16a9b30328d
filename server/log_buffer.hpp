// Log lines on their way to a descriptor: many lines, one write(2): a fan-out logs a line a recipient.
//
// Guarantees: while the flusher runs it alone writes, and add() never waits for the descriptor: a pipe that nobody
// reads stops nobody but the flusher. Lines come out whole and in order. A line waits for company at most
// `patience`, and not at all when it is urgent or when 64 KiB wait. At most `capacity` octets wait; further lines
// are lost and counted, and the number is written in their place. Without a flusher add() writes at once. What a
// crash of the process leaves behind, rescue() still writes. Any thread. Failures: lines that the descriptor
// refuses are dropped: there is nobody to tell.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "store/guarded.hpp"

namespace spoold::server::log {

class LineBuffer {
 public:
  static constexpr std::chrono::milliseconds patience{50};
  /// What a fan-out to 100,000 logs while a slow journal takes the first of it. Memory that is not needed is not
  /// touched, and given back afterwards.
  static constexpr std::size_t most = 16 << 20;

  /// The line, without its end, that is written in the place of `lost` ones.
  using LostLine = std::function<std::string(std::uint64_t lost)>;
  explicit LineBuffer(int descriptor, LostLine lost_line = {}, std::size_t capacity = most);
  ~LineBuffer();
  LineBuffer(const LineBuffer&) = delete;
  LineBuffer& operator=(const LineBuffer&) = delete;

  void start();  // the flusher; from here on lines may wait
  /// Writes what waits and ends the flusher; false: the descriptor did not take it within `limit`, and the
  /// flusher is left behind. Later lines are written at once, or lost beside a flusher that hangs.
  bool stop(std::chrono::milliseconds limit = std::chrono::seconds(1));
  /// A line without its end.
  void add(std::string_view line, bool urgent);
  /// Waits until all that was added before is written; false: not within `limit`.
  bool flush(std::chrono::milliseconds limit);
  /// For a signal handler in a dying process: takes no lock.
  void rescue() noexcept;

 private:
  struct Region {  // of memory
    explicit Region(std::size_t capacity);
    ~Region();
    Region(const Region&) = delete;
    Region& operator=(const Region&) = delete;
    void give_back(std::size_t used);
    char* bytes;
    const std::size_t capacity;
    std::atomic<std::size_t> size{0};
  };
  bool put(std::string_view line) REQUIRES(mutex_);  // false: it is full
  void run();

  const int descriptor_;
  const LostLine lost_line_;
  Region one_, two_;
  std::atomic<Region*> filling_{&one_}, writing_{&two_};  // the flusher swaps them, with the lock
  Mutex mutex_;
  std::condition_variable wake_, written_;
  std::uint64_t lost_ GUARDED_BY(mutex_) = 0;
  std::uint64_t rounds_ GUARDED_BY(mutex_) = 0;
  std::atomic<bool> on_its_way_{false};  // the flusher has octets that are not written yet
  bool running_ GUARDED_BY(mutex_) = false;
  bool alive_ GUARDED_BY(mutex_) = false;
  bool urgent_ GUARDED_BY(mutex_) = false;
  std::thread flusher_;
};

/// Of the process' log (log.cpp): waits until what was logged before is written, for a second at most.
void flush();

}  // namespace spoold::server::log
