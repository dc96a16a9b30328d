#include "server/inbound/penalties.hpp"

#include <cmath>
#include <iterator>

namespace spoold::server {
namespace {

std::string pair_of(const std::string& network, const std::string& user) {
  return user + '\0' + network;  // a user's name holds no NUL where there is such a user
}

}  // namespace

Penalties::Entry* Penalties::Table::find(const std::string& key) {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : &*found->second;
}

Penalties::Entry& Penalties::Table::touch(const std::string& key) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    return entries_.front();
  }
  if (entries_.size() >= most_) {
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
  entries_.emplace_front().key = key;
  by_key_.emplace(key, entries_.begin());
  return entries_.front();
}

double Penalties::score(const Entry& entry, Clock::time_point now) const {
  using Seconds = std::chrono::duration<double>;
  return entry.score * std::exp2(-Seconds(now - entry.at) / Seconds(limits_.half_life));
}

void Penalties::count(Entry& entry, Clock::time_point now) const {
  entry.score = score(entry, now) + 1;
  entry.at = now;
}

Penalties::Entry* Penalties::known(const std::string& network, const std::string& user,
                                   Clock::time_point now) {
  Entry* entry = known_.find(pair_of(network, user));
  return entry != nullptr && now - entry->login <= limits_.known ? entry : nullptr;
}

bool Penalties::refuses(const std::string& network, const std::string& user, Clock::time_point now) {
  const std::scoped_lock lock(mutex_);
  // "Above": a score has decayed by a little since the last failure.
  const auto above = [&](const Entry* entry, double limit) {
    return entry != nullptr && score(*entry, now) > limit - 0.5;
  };
  if (const Entry* here = known(network, user, now)) return above(here, limits_.network);
  return above(networks_.find(network), limits_.network) || above(users_.find(user), limits_.user);
}

void Penalties::failed(const std::string& network, const std::string& user, Clock::time_point now) {
  const std::scoped_lock lock(mutex_);
  if (Entry* here = known(network, user, now)) return count(*here, now);
  count(networks_.touch(network), now);
  count(users_.touch(user), now);
}

void Penalties::succeeded(const std::string& network, const std::string& user, Clock::time_point now) {
  const std::scoped_lock lock(mutex_);
  known_.touch(pair_of(network, user)).login = now;
}

void Penalties::remember(const std::string& network, const std::string& user, Clock::duration ago,
                         Clock::time_point now) {
  const std::scoped_lock lock(mutex_);
  if (known_.find(pair_of(network, user)) == nullptr) known_.touch(pair_of(network, user)).login = now - ago;
}

}  // namespace spoold::server
