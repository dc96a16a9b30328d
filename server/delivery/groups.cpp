#include "server/delivery/groups.hpp"

#include <algorithm>

namespace spoold::server {

std::shared_ptr<LockedGroup> Groups::of(const delivery::GroupRules& rules, TimePoint now) {
  const Lock lock(mutex_);
  auto& found = all_[(rules.same_hosts ? "=" : "") + rules.name];  // a pattern may be spelled like hosts
  if (!found) found = std::make_shared<LockedGroup>(rules.name, call_);
  found->with([&rules](delivery::Group& g) { g.set(rules); });
  std::shared_ptr<LockedGroup> group = found;
  if (all_.size() >= sweep_at_) {
    std::erase_if(all_, [now](const auto& one) {
      return one.second.use_count() == 1 &&
             one.second->with([now](const delivery::Group& g) { return g.forgettable(now); });
    });
    sweep_at_ = std::max<std::size_t>(64, all_.size() * 2);
  }
  return group;
}

std::size_t Groups::size() const {
  const Lock lock(mutex_);
  return all_.size();
}

}  // namespace spoold::server
