// Where passwords are judged: two threads of their own and a bounded line before them (work_line.hpp). A password takes tens of
// milliseconds and 16 MiB (server/auth/password.hpp): a network thread that did it would let its other sessions wait.
// Failures: Verdict::unavailable. See also: session_auth.cpp.
#pragma once
#include <optional>
#include <string>
#include <utility>

#include "server/auth/password.hpp"
#include "server/work_line.hpp"

namespace spoold::server {

class PasswordLine {
 public:
  enum class Verdict { right, wrong, unavailable };

  /// `secret`: PasswordJudge's.
  explicit PasswordLine(std::string secret) : judge(std::move(secret)) {}

  const PasswordJudge judge;

  Awaitable<Verdict> right(asio::any_io_executor home, std::optional<store::directory::User> user,
                           std::string password) {
    auto work = [this, user = std::move(user), password = std::move(password)] {
      return judge.right(user, password) ? Verdict::right : Verdict::wrong;
    };
    return line_.run(std::move(home), std::move(work), Verdict::unavailable);
  }

  void stop() { line_.stop(); }

 private:
  WorkLine line_{2, 64};
};

}  // namespace spoold::server
