// Limits of a host that look like culprits (isolation.md section 6): RCPTs in a transaction or a connection,
// rejects, messages and seconds of a connection. Each drop is compared with earlier ones; a limit is believed
// when two drops (four where chance matches easily) agree and no connection of this host ever got further.
//
// A wrong belief costs little: smaller transactions for a day, and suspects that are offered once more.
#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "protocol/delivery/blame.hpp"
#include "protocol/delivery/memory.hpp"
#include "protocol/time.hpp"

namespace spoold::delivery {

/// What is recorded of every drop.
struct DropRecord {
  TimePoint at{}, opened{};
  Finding finding;
  Drop::How how = Drop::How::closed;
  std::uint32_t in_connection = 0;  // RCPTs answered on the connection
  std::uint32_t rejects = 0;        // 4xx/5xx to RCPT on the connection
  std::uint32_t messages = 0;       // transactions committed on the connection
  std::uint64_t message = 0;
  std::string suspect;  // address, or empty
  bool last_was_reject = false;
  /// By what was known before: its suspect was offered again, alone, or its message had ended connections at
  /// MAIL before. Such a drop is no evidence against the host.
  bool explained = false;
  bool named = false;  // by a 421 whose words name the recipient or the sender
};

class Learned {
 public:
  /// Refused commands on one connection, then QUIT and a new one. Less than what any server minds: Postfix
  /// delays each reply by a second from 10 on and hangs up at 20.
  static constexpr std::uint32_t usual_budget = 9;
  enum class Limit : std::uint8_t { rcpts, rcpts_of_connection, rejects, hangs_up, messages, time };

  void restore(const HostMemory&);
  void remember(HostMemory&) const;

  /// Looks for a limit that explains this drop and earlier ones; `explained` gets the suspects they made.
  std::optional<Limit> weigh(const DropRecord&, std::vector<std::string>& explained);
  /// A connection got so far and lives: no limit is smaller than this.
  void survived(std::uint32_t in_transaction, std::uint32_t in_connection, std::uint32_t rejects,
                std::uint32_t messages, Duration age);
  /// The reject budget was used up and the connection lives: a day after it was halved, double it.
  void rejects_used_up(TimePoint now);
  /// The peer ended the connection because of that many errors: halve the budget.
  void errors_spent(std::uint32_t errors, TimePoint now);
  /// The limit on RCPTs or on time was chance.
  void disbelieve() { rcpts_ = rcpts_of_connection_ = age_ = {}; }
  /// The peer takes no more than `most` recipients in a transaction: it said so, or refused twice as many.
  void too_many_recipients(std::uint32_t most, TimePoint now);

  std::uint32_t rcpts(TimePoint now) const;                // of a transaction; 0: no limit known
  std::uint32_t rcpts_of_connection(TimePoint now) const;  // 0: none known
  std::uint32_t rejects() const { return reject_budget_; }
  std::uint32_t messages(TimePoint now) const {  // 0: none known
    const std::uint32_t found = messages_.at(now);
    return found > 0 ? found : usual_messages_;
  }
  /// The limit of a connection that counts until one is found.
  void usual_messages(std::uint32_t most) { usual_messages_ = most; }
  Duration age(TimePoint now) const { return Duration(age_.at(now)); }  // 0: none known
  bool reject_limit_known() const { return reject_limit_; }

 private:
  /// What was learned may have been chance, or be no longer so: after the first day it grows by a quarter a
  /// day.
  struct Number {
    std::uint32_t value = 0;
    TimePoint since{};
    std::uint32_t at(TimePoint now) const;
  };
  std::deque<DropRecord> drops_;  // the last 32
  Number rcpts_, rcpts_of_connection_, messages_;
  Number age_;  // milliseconds
  std::uint32_t reject_budget_ = usual_budget;
  TimePoint rejects_since_{};
  bool reject_limit_ = false;
  std::uint32_t usual_messages_ = 0;
  struct {
    std::uint32_t in_transaction = 0, in_connection = 0, rejects = 0, messages = 0;
    Duration age{};
  } most_;
};

}  // namespace spoold::delivery
