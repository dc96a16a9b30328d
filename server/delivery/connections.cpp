#include "server/delivery/connections.hpp"

#include <algorithm>
#include <utility>

namespace spoold::server {

Connections::Connections(int most, std::function<void()> on_crowded)
    : on_crowded_(std::move(on_crowded)), most_(std::max(most, 1)) {}

bool Connections::take() {
  const Lock lock(mutex_);
  if (open_ >= most_ || !line_.empty()) return false;
  ++open_;
  return true;
}

void Connections::wait(Go go) {
  bool first = false;
  {
    const Lock lock(mutex_);
    if (open_ >= most_) {
      first = line_.empty();
      line_.push_back(std::exchange(go, nullptr));
      crowded_ = true;
    } else {
      ++open_;
    }
  }
  if (go) return go();
  if (first) on_crowded_();
}

void Connections::give(bool yielded) {
  Go go;
  {
    const Lock lock(mutex_);
    if (yielded) --yielding_;
    if (line_.empty()) {
      --open_;
      return;
    }
    go = std::move(line_.front());
    line_.pop_front();
    crowded_ = !line_.empty();
  }
  go();
}

bool Connections::yield() {
  if (!crowded()) return false;
  const Lock lock(mutex_);
  if (yielding_ >= line_.size()) return false;
  ++yielding_;
  return true;
}

int Connections::open() const {
  const Lock lock(mutex_);
  return open_;
}

}  // namespace spoold::server
