// Awaiting the store: a call with a callback on the writer thread becomes an awaitable that resumes on the
// caller's thread.
//
//   auto start = [&](store::Callback<store::Accepted> done) {
//     store.accept(std::move(acceptance), std::move(done));
//   };
//   store::Result<store::Accepted> result = co_await await_store<store::Accepted>(executor, std::move(start));
//
// `start` is named on the line before (g++ 12: scripts/check_co_await). It runs at once, on the caller's thread.
#pragma once
#include <memory>
#include <utility>

#include "server/asio.hpp"
#include "store/store.hpp"

namespace spoold::server {

template <class T, class Start>
Awaitable<store::Result<T>> await_store(asio::any_io_executor executor, Start start) {
  // The handler is not copyable, a std::function must be: it lives behind a shared pointer, and is moved out
  // of it on the caller's thread.
  auto initiate = [](auto handler, asio::any_io_executor home, Start begin) {
    auto waiting = std::make_shared<decltype(handler)>(std::move(handler));
    begin([waiting, home = std::move(home)](store::Result<T> result) mutable {
      asio::post(home, [waiting = std::move(waiting), result = std::move(result)]() mutable {
        std::move (*waiting)(std::move(result));
      });
    });
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(store::Result<T>)>(
      std::move(initiate), asio::use_awaitable, std::move(executor), std::move(start));
}

}  // namespace spoold::server
