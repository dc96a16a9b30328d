// Waiting for one answer of a callback, on a thread that may block (never a network thread, never the
// writer).
//
// Guarantee: no wait is without an end. Who is answered later than `limit` gets Error::Kind::io; the callback
// may still be called, so what it and its job use must not be on the caller's stack: pass copies.
#pragma once
#include <chrono>
#include <future>
#include <memory>

#include "store/store.hpp"

namespace spoold::server::admin {

inline constexpr std::chrono::seconds for_a_commit{60}, for_lanes{5};

/// start(callback) begins something that calls back exactly once, from any thread.
template <class T, class Start>
store::Result<T> await_result(Start start, std::chrono::milliseconds limit = for_a_commit) {
  auto promise = std::make_shared<std::promise<store::Result<T>>>();
  auto future = promise->get_future();
  start(store::Callback<T>([promise](store::Result<T> result) { promise->set_value(std::move(result)); }));
  if (future.wait_for(limit) == std::future_status::ready) return future.get();
  return store::fail(store::Error::Kind::io,
                     "no answer within " + std::to_string(limit.count() / 1000) +
                         " s: the disk or the daemon is overloaded; whether it was done is not known");
}

}  // namespace spoold::server::admin
