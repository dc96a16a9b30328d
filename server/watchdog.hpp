// One timer a session: a deadline that moves without touching the timer, and a close when it is
// passed. The session asks `fired()` afterwards to tell a time-out from a peer that left. No allocation per
// operation. Lives on the session's thread; `close` must be safe to call as long as the Watchdog lives.
#pragma once
#include <chrono>
#include <functional>
#include <memory>

#include "server/asio.hpp"

namespace spoold::server {

class Watchdog {
 public:
  using Clock = std::chrono::steady_clock;

  Watchdog(const asio::any_io_executor& executor, std::function<void()> close)
      : watch_(std::make_shared<Watch>(executor, std::move(close))) {}
  ~Watchdog() { stop(); }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// The current step may take `limit` from now.
  void limit(std::chrono::milliseconds limit) {
    watch_->deadline = Clock::now() + limit;
    if (!watch_->armed || watch_->deadline < watch_->armed_for) arm(watch_);
  }
  /// Nothing is waited for.
  void rest() { watch_->deadline = Clock::time_point::max(); }
  bool fired() const { return watch_->fired; }
  void stop() {
    watch_->close = nullptr;
    watch_->timer.cancel();
  }

 private:
  struct Watch {
    Watch(const asio::any_io_executor& executor, std::function<void()> close_)
        : timer(executor), close(std::move(close_)) {}
    asio::steady_timer timer;
    std::function<void()> close;
    Clock::time_point deadline = Clock::time_point::max(), armed_for{};
    bool armed = false, fired = false;
  };

  // A handler that finds the deadline moved arms again; an earlier deadline cancels and arms again.
  static void arm(const std::shared_ptr<Watch>& watch) {
    watch->armed = true;
    watch->armed_for = watch->deadline;
    watch->timer.expires_at(watch->deadline);
    watch->timer.async_wait([watch](const std::error_code& error) {
      if (error || !watch->close) return;
      watch->armed = false;
      if (watch->deadline == Clock::time_point::max()) return;
      if (Clock::now() < watch->deadline) return arm(watch);
      watch->fired = true;
      watch->close();
    });
  }

  std::shared_ptr<Watch> watch_;
};

}  // namespace spoold::server
