#include "server/loop_lag.hpp"

#include <map>
#include <mutex>

namespace spoold::server {
namespace {

struct Loops {
  std::mutex mutex;
  std::vector<const LoopLag*> running;
};
Loops& loops() {
  static Loops of_process;
  return of_process;
}

}  // namespace

LoopLag::LoopLag(asio::io_context& io, const char* name) : name_(name), timer_(io) {
  {
    const std::scoped_lock lock(loops().mutex);
    loops().running.push_back(this);
  }
  beat(Clock::now() + every);
}

LoopLag::~LoopLag() {
  const std::scoped_lock lock(loops().mutex);
  std::erase(loops().running, this);
}

std::vector<LoopLag::Worst> LoopLag::all() {
  std::vector<Worst> found;
  std::map<std::string, int> numbers;
  const std::scoped_lock lock(loops().mutex);
  for (const LoopLag* loop : loops().running)
    found.push_back({loop->name_ + " " + std::to_string(numbers[loop->name_]++), loop->worst()});
  return found;
}

}  // namespace spoold::server
