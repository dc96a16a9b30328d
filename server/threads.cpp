#include "server/threads.hpp"

#include <algorithm>

namespace spoold::server {

Threads::Threads(int count, std::function<void(const std::string&)> on_exception)
    : on_exception_(std::move(on_exception)) {
  if (count <= 0) count = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  for (int i = 0; i < count; ++i) loops_.push_back(std::make_unique<Loop>());
}

Threads::~Threads() {
  stop();
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

std::vector<asio::io_context*> Threads::contexts() {
  std::vector<asio::io_context*> all;
  for (auto& loop : loops_) all.push_back(&loop->io);
  return all;
}

Threads::Place Threads::least_loaded() {
  auto fewest = std::min_element(loops_.begin(), loops_.end(),
                                 [](const auto& a, const auto& b) { return *a->sessions < *b->sessions; });
  return Place{&(*fewest)->io, Seat((*fewest)->sessions)};
}

void Threads::turn(Loop& loop) {
  for (;;) {
    try {
      loop.io.run();
      return;
    } catch (const std::exception& bug) {
      on_exception_(bug.what());
    }
  }
}

void Threads::run() {
  for (std::size_t i = 1; i < loops_.size(); ++i) threads_.emplace_back([this, i] { turn(*loops_[i]); });
  turn(*loops_[0]);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Threads::stop() {
  for (auto& loop : loops_) loop->io.stop();
}

}  // namespace spoold::server
