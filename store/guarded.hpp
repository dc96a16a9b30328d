// A mutex, and what it guards, as clang sees it: -Wthread-safety of the build with clang (scripts/build --clang)
// refuses code that touches a guarded field, or calls a function that requires the mutex, without holding it.
// Other compilers see a std::mutex. The standard library's own locks carry no such words, so here are ours.
//
//   mutable Mutex mutex_;
//   std::deque<Job> queue_ GUARDED_BY(mutex_);
//   void enqueue(Job job) REQUIRES(mutex_);
//
//   Lock lock(mutex_);
//   wake_.wait(lock.inner(), [this]() REQUIRES(mutex_) { return !queue_.empty(); });
#pragma once
#include <mutex>

#ifdef __clang__
#define THREAD_SAFETY(word) __attribute__((word))
#else
#define THREAD_SAFETY(word)
#endif
#define GUARDED_BY(mutex) THREAD_SAFETY(guarded_by(mutex))
#define REQUIRES(mutex) THREAD_SAFETY(exclusive_locks_required(mutex))

namespace spoold {

class THREAD_SAFETY(capability("mutex")) Mutex {
 private:
  friend class Lock;
  std::mutex mutex_;
};

/// Held from its construction to its end, but between unlock() and lock().
class THREAD_SAFETY(scoped_lockable) Lock {
 public:
  explicit Lock(Mutex& mutex) THREAD_SAFETY(exclusive_lock_function(mutex)) : lock_(mutex.mutex_) {}
  ~Lock() THREAD_SAFETY(unlock_function()) = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  void lock() THREAD_SAFETY(exclusive_lock_function()) { lock_.lock(); }
  void unlock() THREAD_SAFETY(unlock_function()) { lock_.unlock(); }
  /// For condition variables only, which give the mutex back locked.
  std::unique_lock<std::mutex>& inner() { return lock_; }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace spoold
