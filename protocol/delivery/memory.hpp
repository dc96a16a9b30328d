// What is worth remembering of one next hop beyond the life of its lane and of the daemon (isolation.md
// section 6): its clock, its last words, and the limits it was found to have, each fact with its age. A
// value: the planner is made from one and says one; the store keeps it (table `host`). A fact older than
// host_memory_lasts is forgotten.
#pragma once
#include <cstdint>
#include <string>

#include "protocol/time.hpp"

namespace spoold::delivery {

/// The longest wait that grows by itself.
inline constexpr Duration longest_silence = std::chrono::hours(4);
inline constexpr Duration host_memory_lasts = std::chrono::hours(24 * 30);

struct HostMemory {
  /// value 0: not known.
  struct Fact {
    std::uint64_t value = 0;
    TimePoint since{};
    bool operator==(const Fact&) const = default;
  };

  // The host's clock.
  TimePoint until{};           // no connection before
  std::uint32_t failures = 0;  // in a row
  bool half_open = false;      // the next connection is a probe
  std::string last_error;
  TimePoint error_at{};

  // What it bore.
  std::uint32_t connections = 0;  // at once
  bool wide_window = false;       // many transactions without a drop
  TimePoint last_commit{}, last_drop{};
  TimePoint overlap_off_until{};

  // Limits.
  Fact rcpts, rcpts_of_connection;  // in a transaction, on a connection
  Fact messages;                    // on a connection
  Fact age;                         // of a connection, milliseconds
  Fact rejects;                     // the budget of 4xx/5xx on a connection
  bool reject_limit = false;        // the budget was found by a drop

  // What its replies asked for.
  Fact slow;      // a slower pace since then, for so many milliseconds
  Fact silences;  // how often in a row nothing was to be sent for a while; since: the end of the last time

  bool operator==(const HostMemory&) const = default;
};

/// Facts that are too old at `now` are gone; `until` in the past stays (it says since when the host may be
/// probed).
void forget_old(HostMemory&, TimePoint now);
/// Is `now` worth a write when `written` is what the store has? Not for each delivery: the time of the last
/// one may be an hour behind, the number of connections half as high.
bool worth_writing(const HostMemory& written, const HostMemory& now);

}  // namespace spoold::delivery
