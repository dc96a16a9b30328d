// One timer for many reasons to wake up: it rings at the earliest time that was asked for, and must be set again
// after that. An earlier time moves it, a later one does not, so that setting it in each turn costs nothing.
#pragma once
#include <functional>
#include <memory>
#include <utility>

#include "protocol/time.hpp"
#include "server/asio.hpp"

namespace spoold::server {

class Alarm {
 public:
  using Clock = asio::steady_timer::clock_type;

  Alarm(asio::io_context& io, std::function<void()> ring) : timer_(io), ring_(std::move(ring)) {}
  ~Alarm() { *alive_ = false; }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  void set(Duration wait) {
    const Clock::time_point when = Clock::now() + wait;
    if (at_ > Clock::now() && at_ <= when) return;
    at_ = when;
    timer_.expires_at(when);
    timer_.async_wait([this, alive = alive_](std::error_code error) {
      if (error || !*alive) return;
      at_ = Clock::time_point::max();
      ring_();
    });
  }

 private:
  asio::steady_timer timer_;
  const std::function<void()> ring_;
  Clock::time_point at_ = Clock::time_point::max();
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace spoold::server
