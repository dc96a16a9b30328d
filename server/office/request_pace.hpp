// How fast people may ask a list by mail for something that a token must confirm: against subscription bombing, where a stranger makes
// lists write to others. An address gets one letter about one thing in three days, and ten from all lists together (store/directory);
// here is what a network may cause, and what a list may be asked, whoever is named.
//
// An unconfirmed request counts against the client's network (an IPv4 /24, an IPv6 /64) and against the list. It counts half after
// `half_life`, and a token that comes back takes one away. Above `free` requests a network gets slower: each further one must wait twice as
// long as the one before. Above `free_of_list` a list takes one request in `list_wait`. Whoever must wait is refused with a 451, so that
// a mail server tries again and nothing is lost. The network of a client that may relay is not counted: it speaks for others.
//
// Guarantees: the tables are bounded (recent.hpp); nothing is kept over a restart, as what protects an address is in the store. Any
// thread. The time is an argument; a clock that goes back makes nobody wait longer.
#pragma once
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/ids.hpp"
#include "protocol/recent.hpp"
#include "protocol/time.hpp"

namespace spoold::server {

class RequestPace {
 public:
  struct Limits {
    double free = 10, free_of_list = 200;
    Duration first_wait = std::chrono::minutes(1), longest_wait = std::chrono::hours(24),
             list_wait = std::chrono::seconds(30), half_life = std::chrono::hours(6);
    std::size_t entries = 50'000;  // of each table
  };
  RequestPace() : RequestPace(Limits()) {}
  explicit RequestPace(const Limits& limits)
      : limits_(limits), networks_(limits.entries), lists_(limits.entries) {}

  /// One more request. Nothing: it may come, and is counted. Else the time until it may. `network` empty: nobody's.
  std::optional<Duration> wait(std::string_view network, list::ListId list, TimePoint now);
  /// A token came back.
  void confirmed(std::string_view network, list::ListId list, TimePoint now);
  std::size_t size() const;  // entries of both tables

 private:
  struct Count {
    double score = 0;
    TimePoint at{};  // of the score, which is when the last one came
  };
  double score(const Count& count, TimePoint now) const;
  void add(Count& count, double what, TimePoint now) const;

  const Limits limits_;
  mutable std::mutex mutex_;
  Recent<Count> networks_, lists_;
};

}  // namespace spoold::server
