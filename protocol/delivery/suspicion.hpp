// What is remembered of an address at a next hop (isolation.md section 3), in the planner and in the store.
#pragma once
#include <cstdint>
#include <string>

#include "protocol/smtp/stage.hpp"
#include "protocol/time.hpp"

namespace spoold::delivery {

struct Suspicion {
  std::uint32_t strikes = 0;
  bool parked = false;
  TimePoint first{}, last_drop{}, next{};
  std::uint32_t last_position = 0;
  Stage stage = Stage::none;
  std::string how;                    // "connection closed after RCPT TO"
  std::uint64_t commits_between = 0;  // deliveries to that host by others since the last strike
};

}  // namespace spoold::delivery
