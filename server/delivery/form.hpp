// The content of a transaction that is made on another thread than the lane's: a conversion to seven bits, a signature. The
// transaction waits on its connection until it is there (OutboundSession::unready).
//
// Guarantees: when_ready() calls once, when the form is ready, on the thread that made it; not when it is ready already. Failures:
// `failed`, as from the read of any content; `why_not`, a reason in words why this message cannot go out so.
#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/delivery/wire.hpp"

namespace spoold::server {

class Form {
 public:
  explicit Form(store::Id of = 0) : message(of) {}

  /// False: it is being made. The rest may be read when it is true.
  bool ready() const { return ready_.load(std::memory_order_acquire); }
  const store::Id message;
  std::exception_ptr failed;
  std::string why_not;
  bool converted = false;  // no octet above 127 is left
  std::uint64_t size = 0;  // of the whole message
  std::shared_ptr<const Copy> copy;

  void when_ready(std::function<void()> call) {
    const std::lock_guard lock(mutex_);
    if (!ready()) waiting_.push_back(std::move(call));
  }
  /// Of its maker, once: nothing of it changes any more.
  void made() {
    std::vector<std::function<void()>> waiting;
    {
      const std::lock_guard lock(mutex_);
      ready_.store(true, std::memory_order_release);
      waiting.swap(waiting_);
    }
    for (const auto& call : waiting) call();
  }

 private:
  std::mutex mutex_;
  std::atomic<bool> ready_{false};
  std::vector<std::function<void()>> waiting_;
};

}  // namespace spoold::server
