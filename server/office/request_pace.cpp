#include "server/office/request_pace.hpp"

#include <algorithm>
#include <cmath>

namespace spoold::server {

double RequestPace::score(const Count& count, TimePoint now) const {
  using Seconds = std::chrono::duration<double>;
  const Duration passed = std::max(now - count.at, Duration{});
  return count.score * std::exp2(-Seconds(passed) / Seconds(limits_.half_life));
}

void RequestPace::add(Count& count, double what, TimePoint now) const {
  count.score = std::max(score(count, now) + what, 0.0);
  count.at = now;
}

std::optional<Duration> RequestPace::wait(std::string_view network, list::ListId list, TimePoint now) {
  const std::scoped_lock lock(mutex_);
  const auto left = [now](const Count& count, Duration wait) {
    // A clock that went back: the last request is in the future, and says nothing.
    return count.at > now ? Duration{} : count.at + wait - now;
  };
  Duration wait{};
  // The wait follows from the score at the last request, so it does not change while it lasts. A score decays: half a request below the
  // limit counts as at the limit.
  if (const Count* count = network.empty() ? nullptr : networks_.find(network))
    if (const double over = count->score - limits_.free + 0.5; over > 0) {
      const double times = std::exp2(std::min(std::floor(over), 30.0));
      const auto longest = static_cast<double>(limits_.longest_wait.count());
      const double each = std::min(times * static_cast<double>(limits_.first_wait.count()), longest);
      wait = std::max(wait, left(*count, Duration(static_cast<Duration::rep>(each))));
    }
  const std::string of_list = std::to_string(list);
  if (const Count* count = lists_.find(of_list))
    if (count->score + 0.5 > limits_.free_of_list) wait = std::max(wait, left(*count, limits_.list_wait));
  if (wait > Duration{}) return wait;
  if (!network.empty()) add(networks_.touch(network), 1, now);
  add(lists_.touch(of_list), 1, now);
  return std::nullopt;
}

void RequestPace::confirmed(std::string_view network, list::ListId list, TimePoint now) {
  const std::scoped_lock lock(mutex_);
  // The time of the last request stays: a wait that has begun is no shorter.
  const auto less = [&](Count* count) {
    if (count == nullptr) return;
    const double before = count->score;
    const double now_is = score(*count, now);
    count->score = now_is < 1 ? 0 : before * (now_is - 1) / now_is;
  };
  less(network.empty() ? nullptr : networks_.find(network));
  less(lists_.find(std::to_string(list)));
}

std::size_t RequestPace::size() const {
  const std::scoped_lock lock(mutex_);
  return networks_.size() + lists_.size();
}

}  // namespace spoold::server
