// Questions of checks of protocol/auth to the DNS, asked while a session goes on: the base of what is found out about a
// transaction (verification.hpp), a client (screening.hpp) and a list (blocklists.hpp).
//
// Guarantees: each check has a limit of time for all of its questions; a question is asked once, whichever check asks it. Lives
// on the thread of its executor, in a shared_ptr; an answer that comes when it is gone is dropped.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "protocol/dns/records.hpp"
#include "server/asio.hpp"
#include "server/delivery/resolver.hpp"
#include "server/stats.hpp"

namespace spoold::server {

class Inquiry : public std::enable_shared_from_this<Inquiry> {
 public:
  static constexpr auto limit = std::chrono::seconds(5);  // of a whole check

  virtual ~Inquiry() = default;
  Inquiry(const Inquiry&) = delete;
  Inquiry& operator=(const Inquiry&) = delete;

  /// Every question has its answer.
  bool answered() const { return open_ == 0; }
  Awaitable<> answers() {
    while (open_ > 0) {
      arrived_.expires_at(asio::steady_timer::time_point::max());
      co_await arrived_.async_wait(use);
    }
  }

 protected:
  template <class Check>
  struct Running {
    std::optional<Check> check;
    std::vector<dns::Question> owed = {};
    Resolver::Clock::time_point until{};
  };

  Inquiry(Resolver& resolver, Stats& stats, asio::any_io_executor executor)
      : executor_(std::move(executor)), resolver_(resolver), stats_(stats), arrived_(executor_) {}

  /// ask() for each check that runs.
  virtual void ask_all() = 0;
  /// The last answer has come.
  virtual void all_answered() {}

  /// An answer may lead to further questions, and these may have been answered to another check.
  template <class Check>
  void ask(Running<Check>& running) {
    if (!running.check) return;
    for (bool progress = true; progress;) {
      for (dns::Question& question : running.check->ask()) {
        ask(question, running.until);
        running.owed.push_back(std::move(question));
      }
      progress = std::erase_if(running.owed, [&](const dns::Question& question) {
                   const std::optional<dns::Answer>& answer = answers_.at(question);
                   if (!answer) return false;
                   running.check->answered(question, *answer);
                   return true;
                 }) != 0;
    }
  }

  const asio::any_io_executor executor_;

 private:
  void ask(const dns::Question& question, Resolver::Clock::time_point until) {
    if (!answers_.try_emplace(question).second) return;
    ++open_;
    ++stats_.dns_questions;
    resolver_.ask(question, until,
                  [weak = weak_from_this(), executor = executor_, question](dns::Answer answer) {
                    asio::post(executor, [weak, question, answer = std::move(answer)]() mutable {
                      if (const auto self = weak.lock()) self->came(question, std::move(answer));
                    });
                  });
  }
  void came(const dns::Question& question, dns::Answer answer) {
    if (answer.temporary()) ++stats_.dns_failures;
    answers_.at(question) = std::move(answer);
    --open_;
    ask_all();
    if (open_ != 0) return;
    arrived_.cancel();
    all_answered();
  }

  Resolver& resolver_;
  Stats& stats_;
  std::map<dns::Question, std::optional<dns::Answer>> answers_;
  std::size_t open_ = 0;        // questions without an answer
  asio::steady_timer arrived_;  // cancelled when there are none
};

}  // namespace spoold::server
