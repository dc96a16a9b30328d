// Where passwords are judged: two threads of their own and a bounded line before them. A password takes tens of
// milliseconds and 16 MiB (server/auth/password.hpp): a network thread that did it would let its other sessions wait.
//
// Guarantees: right() answers on the caller's executor, at once where the line is full. Failures: Verdict::unavailable. stop()
// lets the passwords that are looked at be finished; who waits in the line then gets no answer any more, and is destroyed with
// the line. See also: session_auth.cpp.
#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/asio.hpp"
#include "server/auth/password.hpp"

namespace spoold::server {

class PasswordLine {
 public:
  enum class Verdict { right, wrong, unavailable };
  static constexpr int threads = 2, longest = 64;

  /// `secret`: PasswordJudge's.
  explicit PasswordLine(std::string secret) : judge(std::move(secret)) {}

  const PasswordJudge judge;

  Awaitable<Verdict> right(asio::any_io_executor home, std::optional<store::directory::User> user,
                           std::string password) {
    auto initiate = [this](auto handler, asio::any_io_executor back, auto whom, std::string what) {
      const auto answer = [back, waiting = std::make_shared<decltype(handler)>(std::move(handler))](
                              Verdict v) { asio::post(back, [waiting, v] { std::move (*waiting)(v); }); };
      if (waiting_.fetch_add(1) >= longest) {
        --waiting_;
        return answer(Verdict::unavailable);
      }
      asio::post(pool_, [this, answer, whom = std::move(whom), what = std::move(what)] {
        const Verdict verdict = judged(whom, what);
        --waiting_;
        answer(verdict);
      });
    };
    return asio::async_initiate<const asio::use_awaitable_t<>, void(Verdict)>(
        std::move(initiate), asio::use_awaitable, std::move(home), std::move(user), std::move(password));
  }

  void stop() {
    pool_.stop();
    pool_.join();
  }

 private:
  /// An exception would end the process on a thread of the pool.
  Verdict judged(const std::optional<store::directory::User>& user, const std::string& password) const {
    try {
      return judge.right(user, password) ? Verdict::right : Verdict::wrong;
    } catch (const std::exception&) {
      return Verdict::unavailable;
    }
  }

  std::atomic<int> waiting_{0};
  asio::thread_pool pool_{threads};  // the last: what waits in it uses the rest
};

}  // namespace spoold::server
