#include "server/threads.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>

#include "server/loop_lag.hpp"
#include "store/prompt.hpp"

namespace spoold::server {

Threads::Threads(Work work, int count, OnException on_exception)
    : work_(work), on_exception_(std::move(on_exception)) {
  if (count <= 0) count = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  for (int i = 0; i < count; ++i) loops_.push_back(std::make_unique<Loop>());
}

Threads::~Threads() {
  stop();
  join();
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

void Threads::run(Loop& loop) {
  const char* const name = work_ == Work::receive ? "receive" : "deliver";
  pthread_setname_np(pthread_self(), name);
  LoopLag lag(loop.io, name);
  if (work_ == Work::receive)
    store::be_prompt();
  else [[maybe_unused]]
    const int now = ::nice(5);  // the others first, where there is not enough for all
  for (;;) {
    try {
      loop.io.run();
      return;
    } catch (const std::exception& thrown) {
      on_exception_(thrown);
    }
  }
}

void Threads::start() {
  for (const auto& loop : loops_) threads_.emplace_back([this, &loop = *loop] { run(loop); });
}

void Threads::stop() {
  for (auto& loop : loops_) loop->io.stop();
}

void Threads::join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Threads::clear() {
  for (auto& loop : loops_) loop->io.clear();
}

}  // namespace spoold::server
