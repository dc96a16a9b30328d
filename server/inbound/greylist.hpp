// Greylisting: whoever is not known yet is asked to come again later ([smtp] greylist), which those do who keep a queue.
//
// Who: a domain for which a DKIM signature or SPF passed, whatever address it sends from, so that the large pools of providers are
// one; else the client's network (an IPv4 /24, an IPv6 /64). Whoever has come again with the same sender and recipient, after the
// delay and within two days, is known; and as long as something comes from there at least every 36 days.
//
// It is memory, bounded (recent.hpp), and forgotten at a restart: what is lost by that is a delay of each sender, once, and never
// mail; a durable row for each sender that anybody makes up would be work for the writer that all others wait for. Any thread. The
// clock is an argument.
#pragma once
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/auth/verified.hpp"
#include "protocol/dns/records.hpp"
#include "protocol/recent.hpp"

namespace spoold::server {

class Greylist {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr Clock::duration window = std::chrono::hours(48), known_for = std::chrono::hours(24 * 36);
  static constexpr std::size_t entries = 50'000;  // of those that are known, and of those that are not

  /// "good.example", "192.0.2.0/24", "2001:db8:0:1::/64".
  static std::string who(const auth::Verified* verified, const dns::Address& client);
  /// Nothing: the message may come. Else the time after which it may.
  std::optional<Clock::duration> wait(const std::string& who, std::string_view sender,
                                      std::string_view recipient, Clock::duration delay,
                                      Clock::time_point now);

 private:
  std::mutex mutex_;
  Recent<Clock::time_point> known_{entries};    // when something came last
  Recent<Clock::time_point> pending_{entries};  // by who, sender and recipient: when it came first
};

}  // namespace spoold::server
