// The groups of all lanes (protocol/delivery/group.hpp), over all threads. Each group has a lock of its own, locked
// once for a connection, and once for a transaction only where the group has a rate or suspects. Guarantees: a
// group is forgotten when no lane and no connection is in it and it remembers nothing that still counts.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "protocol/delivery/group.hpp"
#include "store/guarded.hpp"

namespace spoold::server {

class LockedGroup : public delivery::SharedGroup {
 public:
  /// `call`: this route should ask for a connection again; any thread, without the lock.
  using Call = std::function<void(const std::string& route)>;
  LockedGroup(std::string name, Call call) : name_(std::move(name)), call_(std::move(call)) {}

  const std::string& name() const { return name_; }
  bool crowded() const { return crowded_.load(std::memory_order_relaxed); }

 private:
  void lock() override { mutex_.lock(); }
  void unlock() override {
    crowded_.store(group().crowded(), std::memory_order_relaxed);
    mutex_.unlock();
  }
  void call(std::vector<std::string> routes) override {
    for (const std::string& route : routes) call_(route);
  }
  const std::string name_;
  const Call call_;
  std::mutex mutex_;
  std::atomic<bool> crowded_{false};
};

/// One connection's place in its group, from before it is opened till it has ended.
class Seat {
 public:
  explicit Seat(std::shared_ptr<LockedGroup> group) : group_(std::move(group)) {}
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;
  ~Seat() {
    group_->with([this](delivery::Group& g) { g.give(yields_); });
  }
  bool crowded() const { return group_->crowded(); }
  /// True: it is to end for another lane of the group.
  bool yield() {
    yields_ = yields_ || (crowded() && group_->with([](delivery::Group& g) { return g.yield(); }));
    return yields_;
  }
  bool yields() const { return yields_; }

 private:
  const std::shared_ptr<LockedGroup> group_;
  bool yields_ = false;
};

class Groups {
 public:
  explicit Groups(LockedGroup::Call call) : call_(std::move(call)) {}

  std::shared_ptr<LockedGroup> of(const delivery::GroupRules& rules, TimePoint now);
  std::size_t size() const;

 private:
  const LockedGroup::Call call_;
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<LockedGroup>> all_ GUARDED_BY(mutex_);
  std::size_t sweep_at_ GUARDED_BY(mutex_) = 64;
};

}  // namespace spoold::server
