#include "server/reloader.hpp"

#include <pthread.h>

#include <exception>

#include "server/log.hpp"

namespace spoold::server {

void Reloader::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "reload");
    run();
  });
}

void Reloader::request() {
  const std::lock_guard lock(mutex_);
  asked_ = true;
  changed_.notify_all();
}

void Reloader::stop() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Reloader::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return asked_ || over_; });
    if (over_) return;
    asked_ = false;
    lock.unlock();
    try {
      reload_();
    } catch (const std::exception& bug) {
      log::event(log::Level::error, "bug", {{"reason", bug.what()}});
    }
    lock.lock();
  }
}

}  // namespace spoold::server
