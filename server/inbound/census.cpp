#include "server/inbound/census.hpp"

#include <algorithm>

namespace spoold::server {

tl::expected<Census::Place, Census::Refusal> Census::enter(const Peer& peer, bool stranger,
                                                           const conf::Smtp& limits) {
  const std::scoped_lock lock(mutex_);
  if (stopping_) return tl::unexpected<Refusal>(Refusal::stopping);
  most_strangers_ = limits.max_connections - limits.max_connections / 10;
  if (total_ >= limits.max_connections || (stranger && strangers_ >= most_strangers_))
    return tl::unexpected<Refusal>(Refusal::too_many);
  std::vector<std::string> hosts;
  if (stranger) {
    hosts = peer.counted_by();
    // Where places are short a host gets half of its own.
    const int of_host = limits.max_connections_per_host;
    int most = pressed() ? std::max(of_host / 2, 1) : of_host;
    for (const std::string& host : hosts) {  // the narrowest first
      const auto found = by_host_.find(host);
      if (found != by_host_.end() && found->second >= most)
        return tl::unexpected<Refusal>(Refusal::too_many_of_host);
      most *= 4;
    }
    for (const std::string& host : hosts) ++by_host_[host];
    ++strangers_;
  }
  ++total_;
  weigh();
  return Place(*this, std::move(hosts), stranger);
}

void Census::leave(const std::vector<std::string>& hosts, bool stranger) {
  const std::scoped_lock lock(mutex_);
  --total_;
  if (stranger) --strangers_;
  for (const std::string& host : hosts)
    if (const auto found = by_host_.find(host); --found->second == 0) by_host_.erase(found);
  weigh();
}

// The pressure begins above nine tenths and ends below eight, so that it does not begin with each connection.
void Census::weigh() {
  const bool was = pressed_.load(std::memory_order_relaxed);
  const bool now = strangers_ * 10 > most_strangers_ * (was ? 8 : 9);
  if (now == was) return;
  pressed_.store(now, std::memory_order_relaxed);
  if (stress_ != nullptr) stress_->store(now, std::memory_order_relaxed);
  began_.store(now, std::memory_order_relaxed);
}

void Census::add(Session* session, std::weak_ptr<Session> handle) {
  const std::scoped_lock lock(mutex_);
  sessions_.emplace(session, std::move(handle));
}

void Census::remove(Session* session) {
  const std::scoped_lock lock(mutex_);
  sessions_.erase(session);
}

void Census::stop() {
  const std::scoped_lock lock(mutex_);
  stopping_ = true;
}

std::vector<std::shared_ptr<Session>> Census::all() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::shared_ptr<Session>> living;
  for (const auto& [session, handle] : sessions_)
    if (auto alive = handle.lock()) living.push_back(std::move(alive));
  return living;
}

std::size_t Census::size() const {
  const std::scoped_lock lock(mutex_);
  return sessions_.size();
}

}  // namespace spoold::server
