// A job with a result: f makes it inside the transaction, the callback gets it after the commit.
#pragma once
#include <memory>
#include <utility>

#include "store/store.hpp"

namespace spoold::store {

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
