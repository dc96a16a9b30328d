// Is there room for more mail? Intake stops at [spool] max_size, and when the file system has less than
// [spool] reserve free, so that settling, editing and removing always have room (README, Files of a store). Looked at
// 10 times a second at most, by whoever asks; any thread. Where the disk has plenty, the store's ballast is kept.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace spoold::store {

class Env;

class Room {
 public:
  Room(Env& env, std::uint64_t max_size, std::uint64_t reserve);
  bool open() const;
  std::uint64_t used() const;
  std::uint64_t left() const;  // octets until it closes
  /// A commit found the disk full: closed until the next look.
  void found_full();

 private:
  void look() const;
  Env& env_;
  const std::uint64_t max_size_, reserve_;
  mutable std::mutex looking_;
  mutable std::atomic<bool> open_{true};
  mutable std::atomic<std::uint64_t> used_{0}, left_{0};
  mutable std::atomic<std::chrono::steady_clock::rep> next_look_{0};
};

}  // namespace spoold::store
