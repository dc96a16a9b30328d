#include "protocol/delivery/memory.hpp"

namespace spoold::delivery {
namespace {

constexpr Duration times_may_lag = std::chrono::hours(1);

bool later(TimePoint written, TimePoint now) {
  return now != written && now - written >= times_may_lag;
}

}  // namespace

void forget_old(HostMemory& memory, TimePoint now) {
  const auto old = [&](TimePoint t) { return t + host_memory_lasts <= now; };
  for (HostMemory::Fact* fact : {&memory.rcpts, &memory.rcpts_of_connection, &memory.messages, &memory.age,
                                 &memory.rejects, &memory.slow, &memory.silences})
    if (old(fact->since)) *fact = {};
  if (memory.rejects.value == 0) memory.reject_limit = false;
  if (old(memory.error_at)) {
    memory.last_error.clear();
    memory.error_at = {};
    if (memory.until <= now) memory.failures = 0, memory.half_open = false;
  }
  if (old(memory.last_drop)) memory.last_drop = {};
  if (old(memory.last_commit)) {
    memory.last_commit = {};
    memory.connections = 0;
    memory.wide_window = false;
  }
}

bool worth_writing(const HostMemory& written, const HostMemory& now) {
  HostMemory same = now;
  if (!later(written.last_commit, now.last_commit)) same.last_commit = written.last_commit;
  if (!later(written.last_drop, now.last_drop)) same.last_drop = written.last_drop;
  const bool alike = now.connections < written.connections * 2 && now.connections * 2 > written.connections;
  if (alike) same.connections = written.connections;
  return !(same == written);
}

}  // namespace spoold::delivery
