// What failed logins cost: who has failed too often is refused for a while without that his password is looked at.
//
// A failure counts against the client's network (an IPv4 address, an IPv6 /64) and against the user name, whether there is
// such a user or not. It counts half after `half_life`, a quarter after twice that, and so on. A network is refused above
// `network` failures, a user name above `user`. So nobody is locked out by an attacker: from a network where a user has
// logged in before, neither counts for him; what fails there under his name counts by itself, up to `network`.
//
// Guarantees: tables are bounded: the entry that was touched longest ago is forgotten for a new one. Failures are
// forgotten at a restart; logins are in the store (directory::KnownNetwork), and remembered by whoever looks the user up. Any
// thread. The clock is an argument. See also: session_auth.cpp.
#pragma once
#include <chrono>
#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

namespace spoold::server {

class Penalties {
 public:
  using Clock = std::chrono::steady_clock;
  struct Limits {
    double network = 10, user = 50;
    Clock::duration half_life = std::chrono::minutes(15);
    Clock::duration known = std::chrono::hours(24 * 30);  // since the last login from there
    std::size_t entries = 10'000;                         // of each table
  };

  Penalties() : Penalties(Limits()) {}
  explicit Penalties(const Limits& limits)
      : limits_(limits), networks_(limits.entries), users_(limits.entries), known_(limits.entries) {}

  /// True: refuse, and do not look at the password.
  bool refuses(const std::string& network, const std::string& user, Clock::time_point now);
  void failed(const std::string& network, const std::string& user, Clock::time_point now);
  void succeeded(const std::string& network, const std::string& user, Clock::time_point now);

  /// He has logged in there so long ago, as the store says. What is known already stays.
  void remember(const std::string& network, const std::string& user, Clock::duration ago,
                Clock::time_point now);

 private:
  struct Entry {
    std::string key;
    double score = 0;
    Clock::time_point at{};     // of the score
    Clock::time_point login{};  // known_: the last one
  };
  class Table {
   public:
    explicit Table(std::size_t most) : most_(most) {}
    Entry* find(const std::string& key);
    Entry& touch(const std::string& key);  // found or made; it is the last one to be forgotten now

   private:
    const std::size_t most_;
    std::list<Entry> entries_;  // touched last: the first
    std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
  };
  double score(const Entry& entry, Clock::time_point now) const;
  void count(Entry& entry, Clock::time_point now) const;
  Entry* known(const std::string& network, const std::string& user, Clock::time_point now);

  const Limits limits_;
  std::mutex mutex_;
  Table networks_, users_, known_;
};

}  // namespace spoold::server
