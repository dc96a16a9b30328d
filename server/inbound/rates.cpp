#include "server/inbound/rates.hpp"

#include <algorithm>

namespace spoold::server {

std::optional<Rates::Clock::duration> Rates::take(Of what, std::string_view who, const conf::Rate& rate,
                                                  Clock::time_point now) {
  const Clock::duration per = std::chrono::duration_cast<Clock::duration>(rate.per),
                        each = per / static_cast<Clock::rep>(rate.count);
  const std::scoped_lock lock(mutex_);
  Clock::time_point& last = tables_.at(static_cast<std::size_t>(what)).touch(who);
  const Clock::time_point next = std::max(last, now) + each;
  if (next - now > per) return next - now - per;
  last = next;
  return std::nullopt;
}

}  // namespace spoold::server
