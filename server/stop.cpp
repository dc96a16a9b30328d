#include "server/stop.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "server/log.hpp"
#include "server/log_buffer.hpp"

namespace spoold::server {

using log::Level;

namespace {

using namespace std::chrono_literals;

// Of `longest`: the last part is for the store's writer and the threads.
constexpr auto settle_time = 7s;
// A store that has stopped answers everybody at once.
constexpr auto settle_time_without_store = 1s;
constexpr auto settle_time_hurried = 3s, longest_hurried = 5s;

}  // namespace

Stop::Stop(Duration grace) : grace_(grace) {}

void Stop::start() {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) signals_.add(signal);
  watch_signals();
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "signals");
    io_.run();
  });
}

Stop::~Stop() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

void Stop::watch_signals() {
  signals_.async_wait([this](const std::error_code& error, int signal) {
    if (error) return;
    watch_signals();
    if (signal == SIGHUP)
      on_hangup();
    else
      request(signal == SIGTERM ? "SIGTERM" : "SIGINT", 0);
  });
}

void Stop::request(const std::string& why, int status) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    const auto now = Clock::now();
    const auto sooner = [](Clock::time_point& one, Clock::time_point other) { one = std::min(one, other); };
    first = ++requests_ == 1;
    status_ = std::max(status_, status);
    if (first) {
      cut_at_ = now + (status ? Duration(1s) : grace_);
      given_up_at_ = cut_at_ + (status ? settle_time_without_store : settle_time);
      end_at_ = cut_at_ + longest;
    } else {
      sooner(cut_at_, now);
      sooner(given_up_at_, now + settle_time_hurried);
      sooner(end_at_, now + (requests_ == 2 ? longest_hurried : 0s));
    }
  }
  log::event(status ? Level::error : Level::info, first ? "stopping" : "stopping_now", {{"reason", why}});
  changed_.notify_all();
  asio::post(io_, [this] { set_the_end(); });
}

void Stop::set_the_end() {
  {
    const std::lock_guard lock(mutex_);
    end_.expires_at(end_at_);
  }
  end_.async_wait([this](const std::error_code& error) {
    if (!error) end_the_process();
  });
}

void Stop::end_the_process() {
  // The lock is kept: over() and event=stopped of the main thread cannot come in between.
  const std::lock_guard lock(mutex_);
  if (over_) return;
  const int status = all_safe_ ? status_ : 1;
  std::string reason = std::string("did not end in time: ") + stage_ + ". The process ends now. ";
  reason += all_safe_ ? "Everything is in the store, which is closed"
                      : "What was answered 250 is in the store; what was on the wire is tried again and may "
                        "arrive twice";
  log::event(status ? Level::error : Level::warning, "stopped", {{"status", status}, {"reason", reason}});
  log::flush();
  ::_exit(status);
}

void Stop::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return requests_ > 0; });
}

void Stop::stage(const char* what, bool all_safe) {
  const std::lock_guard lock(mutex_);
  stage_ = what;
  all_safe_ = all_safe;
}

void Stop::pause() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, 10ms, [this, before = requests_] { return requests_ != before; });
}

bool Stop::cut() const {
  const std::lock_guard lock(mutex_);
  return requests_ > 0 && Clock::now() >= cut_at_;
}

bool Stop::given_up() const {
  const std::lock_guard lock(mutex_);
  return requests_ > 0 && Clock::now() >= given_up_at_;
}

int Stop::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void Stop::over() {
  const std::lock_guard lock(mutex_);
  over_ = true;
}

}  // namespace spoold::server
