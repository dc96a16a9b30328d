// Job: one change of the store, as the writer thread runs it. job<T>() makes one with a result: f makes the result
// inside the transaction, the callback gets it after the commit.
#pragma once
#include <functional>
#include <memory>
#include <utility>

#include "store/error.hpp"

namespace spoold::store {

class Write;

template <class T>
using Callback = std::function<void(Result<T>)>;

/// The promise that a job will be submitted soon (Store::announce). reset() withdraws it. It must not outlive the store.
using Announcement = std::shared_ptr<void>;

struct Job {
  enum class Kind {
    intake,  // refused when space is short
    change,
    patient  // may wait 5 ms for company
  };
  Kind kind = Kind::change;
  std::function<Result<void>(Write&)> apply;
  std::function<void(Result<void>)> done;
};

template <class T, class F>
Job job(Job::Kind kind, F f, Callback<T> callback) {
  auto result = std::make_shared<Result<T>>(fail(Error::Kind::stopped, "the store has stopped"));
  Job j;
  j.kind = kind;
  j.apply = [result, f = std::move(f)](Write& write) mutable -> Result<void> {
    *result = f(write);
    if (!*result) return tl::unexpected(result->error());
    return {};
  };
  j.done = [result, callback = std::move(callback)](Result<void> r) {
    if (!callback) return;
    if (r)
      callback(std::move(*result));
    else
      callback(tl::unexpected(std::move(r.error())));
  };
  return j;
}

}  // namespace spoold::store
