// The end of the daemon: who requests it, how much time it gets, and the promise that it comes.
//
//   Stop stop(grace);
//   stop.start();                     // SIGTERM, SIGINT and SIGHUP are handled from here on
//   stop.wait();                      // the main thread, until somebody requests the stop
//   stop.stage("open transactions");
//   while (busy() && !stop.given_up()) stop.pause();
//   ...
//   stop.over();                      // everything was taken down
//
// Guarantees: signals are read by a loop and a thread of their own: no busy or blocked thread delays them. The
// first request starts the grace; a second one ends the grace at once, and the process 5 s later at the
// latest; a third one ends the process. Without a second one the process ends `longest` after the grace at the
// latest, whatever hangs. A process that is ended this way dies as by SIGKILL, with the reason in the log and,
// unless the store was closed before, with status 1. That is safe at any moment: the store keeps what was answered
// 250 and tries the rest again. All functions: any thread. See also: daemon.cpp (the order of the stop).
#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "protocol/time.hpp"
#include "server/asio.hpp"

namespace spoold::server {

class Stop {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds longest{10};

  explicit Stop(Duration grace);
  ~Stop();
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  /// What SIGHUP asks for; set before start(). Runs on the thread of the signals, so it must not wait.
  std::function<void()> on_hangup = [] {};

  void start();
  /// `status`: the exit status of the daemon; 1 when it cannot go on. Then the grace is a second.
  void request(const std::string& why, int status);
  void wait();

  /// What is waited for now, for the log: "open transactions". `all_safe`: the store is closed, nothing is left that
  /// could be lost; an end now is not a failure, and the exit status stays what it is.
  void stage(const char* what, bool all_safe = false);
  void pause();           // 10 ms, or until the next request
  bool cut() const;       // the grace is over: open connections are closed
  bool given_up() const;  // the answers of sessions and lanes are no longer waited for
  int status() const;
  void over();

 private:
  void watch_signals();
  void set_the_end();
  void end_the_process();

  const Duration grace_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int requests_ = 0, status_ = 0;
  bool over_ = false, all_safe_ = false;
  Clock::time_point cut_at_{}, given_up_at_{}, end_at_{};
  const char* stage_ = "the main thread";

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  asio::signal_set signals_{io_};
  asio::steady_timer end_{io_};
  std::thread thread_;
};

}  // namespace spoold::server
