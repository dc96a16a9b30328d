// A value that is replaced as a whole while others use it: the configuration, and what is made of it.
//
//   const std::shared_ptr<const Rules> rules = current.get();   // once for each session, request, decision
//
// Guarantees: what get() answered stays as it is for as long as it is held; a set() is seen by every get() that begins
// after it. Nobody keeps a reference to what is in here. Any thread.
#pragma once
#include <memory>
#include <mutex>
#include <utility>

namespace spoold::server {

template <class T>
class Current {
 public:
  explicit Current(std::shared_ptr<const T> first) : value_(std::move(first)) {}

  std::shared_ptr<const T> get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  void set(std::shared_ptr<const T> next) {
    const std::lock_guard lock(mutex_);
    value_.swap(next);  // the old one may be destroyed: not under the lock
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
};

}  // namespace spoold::server
