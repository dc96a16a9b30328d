// The connections of all lanes together ([delivery] max_connections), shared fairly: while all are in use,
// lanes without any stand in one line over all threads, and each connection that ends goes to the first in
// line. A lane that has one gets no further one meanwhile. So that nobody waits for ever, lanes give some up:
// as many as stand in line, idle ones first (yield()).
//
// Any thread may call all of this; go() of one in line runs on the thread that gave a connection back and
// must only hand on. Locked once for each connection, never for a transaction.
#pragma once
#include <atomic>
#include <deque>
#include <functional>

#include "store/guarded.hpp"

namespace spoold::server {

class Connections {
 public:
  using Go = std::function<void()>;

  /// `on_crowded`: the first one stands in line; idle connections should be asked to go.
  Connections(int most, std::function<void()> on_crowded);

  /// One more; false: all are in use, or somebody waits for one.
  bool take();
  /// Stands in line: go() is called once, when one was taken for it. At once where one is free.
  void wait(Go go);
  /// One less. `yielded`: yield() had asked for it.
  void give(bool yielded = false);

  /// Somebody stands in line.
  bool crowded() const { return crowded_.load(std::memory_order_relaxed); }
  /// True: the caller is to give up a connection for one in line (give(true) when it has ended).
  bool yield();
  int open() const;

 private:
  const std::function<void()> on_crowded_;
  const int most_;
  mutable Mutex mutex_;
  std::deque<Go> line_ GUARDED_BY(mutex_);
  int open_ GUARDED_BY(mutex_) = 0;
  std::size_t yielding_ GUARDED_BY(mutex_) = 0;
  std::atomic<bool> crowded_{false};
};

}  // namespace spoold::server
