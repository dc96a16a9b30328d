// How many connections are open to each group (provider), over the lanes of all threads.
#pragma once
#include <atomic>
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
    const auto open = count(group.name);
    if (open->fetch_add(1) >= group.connections) {
      --*open;
      return nullptr;
    }
    return {open.get(), [open](void*) { --*open; }};
  }
  std::uint32_t open(const std::string& name) { return *count(name); }

 private:
  std::shared_ptr<std::atomic<std::uint32_t>> count(const std::string& name) {
    const std::lock_guard lock(mutex_);
    auto& found = counts_[name];
    if (!found) found = std::make_shared<std::atomic<std::uint32_t>>(0);
    return found;
  }
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<std::atomic<std::uint32_t>>>
      counts_;  // as many as there are patterns
};

}  // namespace spoold::server
