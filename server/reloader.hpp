// Reading the configuration again when asked to, on a thread of its own: files may be slow, and nobody waits for them.
//
// Guarantees: one at a time; of the requests that come while one runs, one more is made. After stop() none runs. request():
// any thread. Failures: what `reload` throws is logged as event=bug, and the next request is served all the same.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace spoold::server {

class Reloader {
 public:
  explicit Reloader(std::function<void()> reload) : reload_(std::move(reload)) {}
  ~Reloader() { stop(); }
  Reloader(const Reloader&) = delete;
  Reloader& operator=(const Reloader&) = delete;

  void start();
  void request();
  void stop();  // waits for the one that runs

 private:
  void run();

  const std::function<void()> reload_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false, over_ = false;
  std::thread thread_;
};

}  // namespace spoold::server
