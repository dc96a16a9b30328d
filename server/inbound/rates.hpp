// How many messages and recipients a network or a user may send in a time ([smtp] and [submission]).
//
// A rate of N in a time T lets N through at once, and then one each T/N: what is refused is not counted. Guarantees: a fixed amount
// of work; the tables are bounded (recent.hpp), and nothing is kept over a restart. Any thread. The clock is an argument.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>

#include "conf/settings.hpp"
#include "protocol/recent.hpp"

namespace spoold::server {

class Rates {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Of : std::uint8_t { messages_of_host, recipients_of_host, messages_of_user, recipients_of_user };
  static constexpr std::size_t entries = 50'000;  // of each table

  /// One more; nothing: it may. Else the time until it may.
  std::optional<Clock::duration> take(Of what, std::string_view who, const conf::Rate& rate,
                                      Clock::time_point now);

 private:
  using Table = Recent<Clock::time_point>;  // when all that was let through would have come, one each T/N
  std::mutex mutex_;
  std::array<Table, 4> tables_{Table(entries), Table(entries), Table(entries), Table(entries)};
};

}  // namespace spoold::server
