// Work that takes too long for a network thread: threads of its own, and a bounded line before them.
//
// Guarantees: run() answers on the caller's executor, at once where the line is full. An exception of the work is the answer
// `unavailable` too. stop() lets the work in progress finish; what waits in the line then gets no answer any more, and is
// destroyed with the line.
//
//   auto work = [proof] { return verify(proof); };
//   const Proved proved = co_await line.run(executor, std::move(work), Proved::unavailable);
//
// `work` is named on the line before (g++ 12: scripts/check_co_await).
#pragma once
#include <atomic>
#include <exception>
#include <memory>
#include <utility>

#include "server/asio.hpp"

namespace spoold::server {

class WorkLine {
 public:
  WorkLine(std::size_t threads, int longest) : longest_(longest), pool_(threads) {}

  template <class Work, class Result>
  Awaitable<Result> run(asio::any_io_executor home, Work work, Result unavailable) {
    auto initiate = [this](auto handler, asio::any_io_executor back, Work what, Result none) {
      const auto answer = [back,
                           waiting = std::make_shared<decltype(handler)>(std::move(handler))](Result result) {
        asio::post(back, [waiting, result]() mutable { std::move (*waiting)(std::move(result)); });
      };
      if (waiting_.fetch_add(1) >= longest_) {
        --waiting_;
        return answer(std::move(none));
      }
      asio::post(pool_, [this, answer, what = std::move(what), none = std::move(none)] {
        Result result = done(what, none);
        --waiting_;
        answer(std::move(result));
      });
    };
    return asio::async_initiate<const asio::use_awaitable_t<>, void(Result)>(
        std::move(initiate), asio::use_awaitable, std::move(home), std::move(work), std::move(unavailable));
  }

  void stop() {
    pool_.stop();
    pool_.join();
  }

 private:
  /// An exception would end the process on a thread of the pool.
  template <class Work, class Result>
  static Result done(const Work& work, const Result& unavailable) {
    try {
      return work();
    } catch (const std::exception&) {
      return unavailable;
    }
  }

  const int longest_;
  std::atomic<int> waiting_{0};
  asio::thread_pool pool_;  // the last: what waits in it uses the rest
};

}  // namespace spoold::server
