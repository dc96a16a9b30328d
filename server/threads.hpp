// Network threads (design section 4): each runs one io_context; a session lives and dies on one of them.
// Guarantees: nothing is shared between threads but what is posted. An exception that leaves a handler is a
// bug: it is logged, the loop goes on.
//
// The daemon has two sets of them. A loop that delivers at its most comes to each of its connections every
// few milliseconds only; a client that shared it waited for that at each of its three turns a message (mean
// 6.3 ms, beside 1.9 ms on a loop without deliveries; `fairness` of scripts/bench).
#pragma once
#include <atomic>
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
  /// `count` 0: one per core. `on_exception` is told what a handler threw.
  Threads(Work work, int count, std::function<void(const std::string&)> on_exception);
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

 private:
  struct Loop {
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    std::shared_ptr<std::atomic<int>> sessions = std::make_shared<std::atomic<int>>(0);
  };
  void run(Loop&);

  const Work work_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::vector<std::thread> threads_;
  std::function<void(const std::string&)> on_exception_;
};

}  // namespace spoold::server
