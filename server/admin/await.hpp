// Waiting for one answer of a callback, on a thread that may block (never a network thread, never the
// writer).
#pragma once
#include <future>
#include <memory>

#include "store/store.hpp"

namespace spoold::server::admin {

/// start(callback) begins something that calls back exactly once, from any thread.
template <class T, class Start>
store::Result<T> await_result(Start start) {
  auto promise = std::make_shared<std::promise<store::Result<T>>>();
  auto future = promise->get_future();
  start(store::Callback<T>([promise](store::Result<T> result) { promise->set_value(std::move(result)); }));
  return future.get();
}

}  // namespace spoold::server::admin
