// The one owner of work over many commits. Each slice is a job of its own, and the next one is submitted when it
// is committed: nobody waits longer than for one slice.
//
// Guarantees: a slice asks Enough between its steps, and a step is bounded in rows or chunks: alone a slice takes
// about 2 ms, beside others 0.3 ms. What a slice did is committed before committed() is called; a slice that
// failed did nothing. No space: work that waits for space tries the same slice again a second later, for as long
// as it takes; other work ends with that error. Any other error ends the work. done() is called once. When the
// store stops, work that `runs_to_its_end` does so; all other work ends with `stopped` after its slice, and what
// is left of it is in the store: nothing is submitted after the writer has ended.
//
// The work that the store itself names (rows of `stage`, leftovers of the directory) is a single piece of work here,
// its backlog: begun by look(). Who writes such a row needs not begin it: Write::leaves_work() makes the writer
// call look() after the commit, so "somebody finished something large" cannot be forgotten. The sweep, every ten
// minutes, calls it too: work that ended with an error goes on then.
// See also: writer.hpp (what ends a slice), spool/work.hpp (what the rows name), README.md.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>

#include "store/job.hpp"
#include "store/txn.hpp"
#include "store/writer.hpp"

namespace spoold::store {

class Slices {
 public:
  struct Work {
    Job::Kind kind = Job::Kind::change;
    bool waits_for_space = false;
    bool runs_to_its_end = false;  // also when the store stops: a client waits for it
    /// Keeps what the functions use: so they hold plain pointers, and a std::function of them needs no memory of its own.
    std::shared_ptr<void> owner = {};
    /// One slice, from where the last committed one ended; may be run again. True: nothing is left.
    std::function<Result<bool>(Write&, const Enough&)> slice;
    std::function<void(bool all)> committed = {};  // writer thread, after each slice
    std::function<void(Result<void>)> done = {};   // writer thread, once
    bool nothing_left = false;                     // what the last slice answered
  };

  /// `backlog` does some of the work that the store names. `pause`: the second after which work that found no space tries
  /// again.
  Slices(Writer& writer, Duration pause, std::function<Result<bool>(Write&, const Enough&)> backlog,
         std::function<void(bool all)> committed);

  void begin(Work);  // any thread
  void look();       // any thread: is there work that the store names?

 private:
  void next(std::shared_ptr<Work>, Writer::Clock::duration delay);
  void answer(const std::shared_ptr<Work>&, Result<void> slice);
  Writer& writer_;
  const Duration pause_;
  Work backlog_;
  std::atomic<bool> running_{false}, wanted_{false};  // the backlog
};

}  // namespace spoold::store
