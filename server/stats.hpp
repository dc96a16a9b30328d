// Counters of the running daemon, for `spoolctl stats`. Relaxed atomics: totals, not a protocol.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace spoold::server {

struct Stats {
  using Counter = std::atomic<std::uint64_t>;
  // since the start
  Counter accepted{0}, refused{0}, recipients{0}, delivered{0}, deferred{0}, failed{0}, expired{0},
      bounced{0};
  Counter logins{0}, failed_logins{0};
  // Clients without rights: messages refused by policy, questions of reception to the DNS and those that failed.
  Counter spf_refused{0}, dmarc_refused{0}, dkim2_refused{0}, dns_questions{0}, dns_failures{0};
  // and sessions of them
  Counter dnsbl_refused{0}, fcrdns_refused{0}, helo_refused{0}, early_talkers{0};
  // Told to come again later: by rates (also of users), by greylisting.
  Counter rate_refused{0}, greylisted{0};
  // Refused by [[milter]]s, in their own words; how often one was away or in trouble.
  Counter milter_refused{0}, milter_troubles{0};
  // Times that a next hop was left alone because its reply is about us (action `ours` of the table of replies).
  Counter lanes_held{0};
  // Told to come again later, because something is short here: room in the spool, the disk's answers, memory, places for
  // connections.
  Counter room_refused{0}, slow_disk_refused{0}, memory_refused{0}, connections_refused{0};
  Counter sessions_in{0}, sessions_out{0}, bytes_in{0}, bytes_out{0};
  // now
  std::atomic<std::int64_t> open_in{0}, open_out{0};
  std::atomic<bool> stress{false};  // places for clients are short (inbound/census.hpp)

  struct Loop {
    std::string name;                // "receive 0": of the first such loop
    std::chrono::microseconds late;  // at worst, in the last minute
  };
  std::vector<Loop> (*loops)() = [] { return std::vector<Loop>(); };  // all that run (loop_lag.hpp)
};

}  // namespace spoold::server
