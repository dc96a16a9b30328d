// The connections of all lanes together ([delivery] max_connections), shared fairly. While all are in use, lanes
// without a connection wait in one line over all threads; each connection that ends is given to the first of them,
// and no lane gets a further one. So that no lane waits for ever, others yield as many connections as lanes are in
// line, idle connections first (yield()).
//
// Why this is not a Group (groups.hpp), which shares connections too: a lane may have several of these and is
// called with the connection already taken; a group has a limit and a clock that its lanes agree on, and calls a
// lane to ask again. The line of either is ten lines, and common code would be longer than both.
//
// Any thread may call these functions; go() runs on the thread that gave a connection back, and must only post.
// The mutex is locked once for each connection, never for a transaction.
#pragma once
#include <atomic>
#include <deque>
#include <functional>

#include "store/guarded.hpp"

namespace spoold::server {

class Connections {
 public:
  using Go = std::function<void()>;

  /// `on_crowded`: a first lane is in line; idle connections should be asked to end.
  Connections(int most, std::function<void()> on_crowded);

  /// Takes one connection; false: all are in use, or a lane is in line for one.
  bool take();
  /// Joins the line: go() is called once, when a connection was taken for the caller; at once where one is free.
  void wait(Go go);
  /// Gives one connection back. `yielded`: yield() had answered true for it.
  void give(bool yielded = false);

  /// A lane is in line.
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
