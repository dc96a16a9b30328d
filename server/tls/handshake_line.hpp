// The steps of TLS handshakes of one loop, one at a time. A step costs up to a millisecond of the processor (a signature); a
// thousand clients that begin together would keep every session of the thread waiting for all of them. Here between two
// steps the loop does everything else that is ready.
//
//   HandshakeLine::Turn turn(executor);
//   co_await turn.comes();
//   ... one step ...
//
// Guarantees: first come, first served; where nobody else waits a step waits for nobody. A Turn that is destroyed leaves
// the line. A service of the io_context: lives as long as it, on its thread.
#pragma once
#include <list>

#include "server/asio.hpp"

namespace spoold::server {

class HandshakeLine : public asio::execution_context::service {
 public:
  inline static asio::execution_context::id id;

  explicit HandshakeLine(asio::execution_context& context) : service(context) {}
  void shutdown() override {}

  class Turn {
   public:
    explicit Turn(const asio::any_io_executor& executor)
        : line_(asio::use_service<HandshakeLine>(asio::query(executor, asio::execution::context))),
          called_(executor) {}
    ~Turn() {
      if (waits_) line_.waiting_.erase(at_);
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    Awaitable<> comes() {
      if (!line_.busy_) {
        line_.busy_ = true;
        line_.next(called_.get_executor());
        co_return;
      }
      called_.expires_at(asio::steady_timer::time_point::max());
      at_ = line_.waiting_.insert(line_.waiting_.end(), this);
      waits_ = true;
      co_await called_.async_wait(use);
    }

   private:
    friend class HandshakeLine;
    HandshakeLine& line_;
    asio::steady_timer called_;
    std::list<Turn*>::iterator at_;
    bool waits_ = false;
  };

 private:
  // Behind the step that runs now, and behind all that is ready by then.
  void next(const asio::any_io_executor& executor) {
    asio::post(executor, [this, executor] {
      if (waiting_.empty()) {
        busy_ = false;
        return;
      }
      Turn& first = *waiting_.front();
      waiting_.pop_front();
      first.waits_ = false;
      first.called_.cancel();
      next(executor);
    });
  }

  std::list<Turn*> waiting_;
  bool busy_ = false;
};

}  // namespace spoold::server
