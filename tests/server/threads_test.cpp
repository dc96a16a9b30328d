// What becomes of handlers that throw, and of those that still wait when the loops have ended.
#include "server/threads.hpp"

#include <doctest/doctest.h>

#include <future>
#include <stdexcept>

using namespace spoold::server;

namespace {

Awaitable<> throws(asio::any_io_executor executor) {
  asio::steady_timer timer(executor, std::chrono::milliseconds(1));
  co_await timer.async_wait(use);
  throw std::runtime_error("from a coroutine");
}

/// Waits for what never happens; `alive` is held meanwhile.
Awaitable<> waits(asio::any_io_executor executor, std::shared_ptr<int> alive) {
  asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
  co_await timer.async_wait(use);
  ++*alive;
}

}  // namespace

TEST_CASE("what leaves a coroutine that nobody waits for is not lost, and the loop goes on") {
  std::promise<std::string> heard;
  Threads threads(Threads::Work::receive, 1,
                  [&heard](const std::exception& thrown) { heard.set_value(thrown.what()); });
  asio::io_context& io = threads.context(0);
  asio::co_spawn(io, throws(io.get_executor()), rethrow);
  threads.start();
  CHECK(heard.get_future().get() == "from a coroutine");
  std::promise<void> later;
  asio::post(io, [&later] { later.set_value(); });
  later.get_future().wait();
}

TEST_CASE("clear() destroys what still waits, and sockets and timers may go after it") {
  Threads threads(Threads::Work::deliver, 2, [](const std::exception&) {});
  const auto alive = std::make_shared<int>(0);
  asio::io_context& io = threads.context(0);
  auto timer = std::make_unique<asio::steady_timer>(io, std::chrono::hours(1));
  auto socket = std::make_unique<asio::ip::udp::socket>(io, asio::ip::udp::v4());
  timer->async_wait([alive](std::error_code) { ++*alive; });
  char octet = 0;
  socket->async_receive(asio::buffer(&octet, 1), [alive](std::error_code, std::size_t) { ++*alive; });
  std::promise<void> begun;
  threads.start();
  asio::co_spawn(io, waits(io.get_executor(), alive), rethrow);
  asio::post(io, [&begun] { begun.set_value(); });
  begun.get_future().wait();
  threads.stop();
  threads.join();
  asio::post(io, [alive] { ++*alive; });
  CHECK(alive.use_count() > 1);
  threads.clear();
  CHECK(alive.use_count() == 1);
  CHECK(*alive == 0);
  asio::post(io, [alive] { ++*alive; });  // destroyed with the context
  timer.reset();
  socket.reset();
}
