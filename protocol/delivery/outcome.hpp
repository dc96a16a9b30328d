// What became of one recipient in one attempt.
#pragma once
#include <cstdint>
#include <string>

#include "protocol/smtp/stage.hpp"
#include "protocol/time.hpp"

namespace spoold {

/// Why a host is left alone for a while, as one lane tells the others of its group.
struct HostFault {
  LastReply why;  // `at`: of the failed attempt
  TimePoint until{};
  std::uint32_t failures = 0;  // in a row
};

enum class Verdict : std::uint8_t {
  delivered,  // accepted by the next hop, in words
  deferred,   // to be tried again at `next_attempt`
  failed,     // 5xx for this recipient, or no way to reach it, for good
  expired,    // a failed attempt after its lifetime
  released,   // nothing happened to it: not charged, back to the queue (next_attempt says when)
};

struct Outcome {
  std::uint32_t number = 0;  // the recipient's number in its message
  Verdict verdict = Verdict::released;
  bool charged = true;  // counts as an attempt (isolation.md I2)
  TimePoint next_attempt{};
  LastReply last;
  bool alone =
      false;  // `last` is about no other recipient of the transaction, also when it answers DATA or its end
  bool possible_duplicate = false;  // the end of a copy was sent and never answered, now or before
};

}  // namespace spoold
