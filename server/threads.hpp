// Network threads: each runs one io_context; a session lives and dies on one of them.
// Guarantees: nothing is shared between threads but what is posted. An exception that leaves a handler is given
// to `on_exception`, and the loop goes on. After join(), clear() destroys the handlers and coroutines that still
// wait, while what they refer to exists; the contexts themselves live until ~Threads, so sockets and timers may
// be destroyed in between.
//
// The daemon has two sets of them. A loop that delivers at its most comes to each of its connections every
// few milliseconds only; a client that shared it waited for that at each of its three turns a message (mean
// 6.3 ms, beside 1.9 ms on a loop without deliveries; `fairness` of scripts/bench).
#pragma once
#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/asio.hpp"

namespace spoold::server {

class Threads {
 public:
  // Receive: somebody waits for each turn. Deliver: throughput counts; after the others (nice 5) where there
  // are not processors for all.
  enum class Work { receive, deliver };
  using OnException = std::function<void(const std::exception&)>;
  /// `count` 0: one per core. `on_exception` gets what a handler threw, on the thread of that handler.
  Threads(Work work, int count, OnException on_exception);
  ~Threads();

  std::size_t size() const { return loops_.size(); }
  asio::io_context& context(std::size_t i) { return loops_[i]->io; }
  std::vector<asio::io_context*> contexts();

  /// Where the next accepted socket goes: the thread with the fewest sessions. Sessions hold a Seat while
  /// they live.
  class Seat {
   public:
    explicit Seat(std::shared_ptr<std::atomic<int>> taken) : taken_(std::move(taken)) { ++*taken_; }
    Seat(Seat&& other) noexcept = default;
    Seat& operator=(Seat&&) = delete;
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;
    ~Seat() {
      if (taken_) --*taken_;
    }

   private:
    std::shared_ptr<std::atomic<int>> taken_;
  };
  struct Place {
    asio::io_context* io;
    Seat seat;
  };
  Place least_loaded();

  void start();  // returns at once
  void stop();   // any thread
  void join();   // returns when stop() was called and every thread has left its loop
  void clear();  // after join()

 private:
  struct Context : asio::io_context {
    using asio::io_context::io_context;
    void clear() { shutdown(); }
  };
  struct Loop {
    Context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    std::shared_ptr<std::atomic<int>> sessions = std::make_shared<std::atomic<int>>(0);
  };
  void run(Loop&);

  const Work work_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::vector<std::thread> threads_;
  OnException on_exception_;
};

/// For co_spawn where nobody waits for the coroutine: what leaves it by exception leaves the loop too, and
/// `on_exception` decides what becomes of it. (`detached` would lose it: the coroutine would just be gone.)
inline constexpr auto rethrow = [](std::exception_ptr thrown) {
  if (thrown) std::rethrow_exception(std::move(thrown));
};

}  // namespace spoold::server
