// The one thread that writes: takes the jobs that wait, applies them in one transaction, commits (one flush),
// then answers all of them: group commit. What comes while they are applied joins them.
//
// Guarantees: intake and changes are committed at once with whatever else waits; patient jobs wait at most
// 5 ms for company; who has announced a job is waited for 0.3 ms. A transaction takes no further job after 20
// ms of work; who works over many commits asks enough() when to let the others go first. A job that fails
// does not harm the others of its group: when it changed nothing it is just answered, else the transaction is
// aborted and its jobs are run again one by one. Failures: no space at a commit: intake is answered `full`,
// the rest is tried once more without it, then `full` too, and trouble() says so until a commit succeeds. That
// is safe also where it was the flush that found no space: LMDB writes to free pages only, so the second try
// writes and flushes every page that it needs. Any other failed commit has an unknown outcome: its jobs and all later ones are answered `io`, nothing is tried
// again, on_stop is called. A corrupt record stops the writer in the same way. See also: store.hpp (Job),
// room.hpp (when intake is refused before it starts).
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "store/env.hpp"
#include "store/guarded.hpp"
#include "store/job.hpp"
#include "store/room.hpp"

namespace spoold::store {

class Writer {
 public:
  struct Wiring {
    std::function<TimePoint()> clock;
    std::function<void(std::string)> on_stop;
    std::function<int(const char*)> fault;
    std::function<void()> on_work = {};  // after a commit that left work in the store (Write::leaves_work)
  };
  Writer(Env& env, Room& room, Wiring wiring);
  ~Writer();  // close()

  /// Commits and answers every job that was submitted before, and what those jobs submit on the writer thread;
  /// then ends the thread. Not for the writer thread. Later calls return at once.
  void close();

  using Clock = std::chrono::steady_clock;
  /// From close() on, a job of another thread is answered `stopped` at once, on the caller's thread. `delay`: the
  /// job is not run before, but by close() at once.
  void submit(Job job, Clock::duration delay = {});
  Announcement announce();
  /// Announced jobs that a commit now would be held up for: not those announced before the commit before the
  /// last one, so that a slow client holds nobody up for long.
  int expected() const;
  /// Whether a slice of long work that took so long is to end now: after 2 ms; after 0.3 ms where somebody
  /// else waits for a commit. Writer thread, within a job.
  bool enough(Clock::duration worked) const;
  std::string trouble() const;
  /// How long the oldest job has waited for the commit that the writer is at; zero when it is at none. Any thread.
  Clock::duration oldest_wait() const;
  bool stopping() const { return stopping_.load(); }
  std::uint64_t commits() const { return commits_.load(); }
  std::uint64_t jobs() const { return jobs_.load(); }

 private:
  struct Waiting {
    Job job;
    Clock::time_point since;
    Result<void> result;
    bool answered = false;
  };
  void run();
  int announced() const REQUIRES(mutex_) { return *announced_ + *announced_before_; }
  void enqueue(Job job) REQUIRES(mutex_);
  void admit() REQUIRES(mutex_);
  void take(std::vector<Waiting>& batch) REQUIRES(mutex_);
  void gather(std::vector<Waiting>& batch, Clock::time_point until);
  enum class Try { first, again };
  void transact(std::vector<Waiting>& batch, Try which);
  void again(std::span<Waiting> batch);
  void aborted(std::span<Waiting> applied, bool alone);
  Result<void> apply(Waiting& waiting, Write& write);
  std::unique_ptr<Write> begin_write();
  int commit(std::unique_ptr<Write> write);
  void commit_failed(std::span<Waiting> batch, int code, Try which);
  void answer(Waiting& waiting);
  void stop_for_good(const Error& why);

  Env& env_;
  Room& room_;
  Wiring wiring_;
  mutable Mutex mutex_;
  std::condition_variable wake_;
  std::vector<Waiting> queue_ GUARDED_BY(mutex_);
  struct Later {
    Clock::time_point at;
    Job job;
  };
  std::vector<Later> later_ GUARDED_BY(mutex_);  // few: what waits for space
  /// Those since the last commit, and those between it and the one before.
  std::shared_ptr<std::atomic<int>> announced_ GUARDED_BY(mutex_), announced_before_ GUARDED_BY(mutex_);
  std::size_t urgent_ GUARDED_BY(mutex_) = 0;  // of queue_: all but the patient
  Clock::time_point oldest_patient_ GUARDED_BY(mutex_){};
  std::string trouble_ GUARDED_BY(mutex_);
  bool busy_ GUARDED_BY(mutex_) = false;  // it will look at queue_ before it sleeps
  // Of the writer thread alone:
  std::string lost_;  // why the last commit failed, if one did since the last good one
  Error dead_{};      // once stopped_ is set
  bool stopped_ = false;

  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> owed_{0};  // answers, but those to the patient
  std::atomic<std::uint64_t> commits_{0}, jobs_{0};
  std::atomic<Clock::rep> oldest_{0};  // since when; 0: nobody waits
  Mutex closing_;                      // held by the one thread that joins
  std::thread thread_;
  std::thread::id writer_;  // of thread_, also after it was joined
};

}  // namespace spoold::store
