// The only place that includes Asio: aliases for what lives in asio::experimental, and the token of every
// await. Asio itself is compiled once, in server/asio.cpp (ASIO_SEPARATE_COMPILATION). Rule (server/README.md): on
// a statement with co_await no '{' and no lambda.
#pragma once
#include <utility>

#include <asio.hpp>
#include <asio/experimental/as_tuple.hpp>

namespace spoold::server {

template <class T = void>
using Awaitable = asio::awaitable<T>;

/// co_await socket.async_read_some(buffer, use) gives (error_code, n); never throws.
inline constexpr asio::experimental::as_tuple_t<asio::use_awaitable_t<>> use{};

}  // namespace spoold::server
