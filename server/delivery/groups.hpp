// How many connections are open to each group (routes that share a provider or their MX hosts), over the
// lanes of all threads. A group without any is forgotten.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "protocol/delivery/destination.hpp"

namespace spoold::server {

class Groups {
 public:
  /// One connection's place, given back with the last copy; empty: the group has as many as it may. Any
  /// thread.
  std::shared_ptr<void> take(const delivery::Group& group) {
    const std::lock_guard lock(mutex_);
    const auto open = open_.try_emplace(group.name, 0).first;
    if (open->second >= group.connections) return nullptr;
    ++open->second;
    return {this, [this, open](void*) {
              const std::lock_guard guard(mutex_);
              if (--open->second == 0) open_.erase(open);
            }};
  }
  std::uint32_t open(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(name);
    return found == open_.end() ? 0 : found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::uint32_t> open_;  // by name; only groups with connections
};

}  // namespace spoold::server
