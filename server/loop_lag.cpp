#include "server/loop_lag.hpp"

#include <map>

#include "store/guarded.hpp"

namespace spoold::server {
namespace {

struct Loops {
  Mutex mutex;
  std::vector<const LoopLag*> running GUARDED_BY(mutex);
};
Loops& loops() {
  static Loops of_process;
  return of_process;
}

}  // namespace

LoopLag::LoopLag(asio::io_context& io, const char* name) : name_(name), timer_(io) {
  {
    const Lock lock(loops().mutex);
    loops().running.push_back(this);
  }
  beat(Clock::now() + every);
}

LoopLag::~LoopLag() {
  const Lock lock(loops().mutex);
  std::erase(loops().running, this);
}

std::vector<Stats::Loop> LoopLag::all() {
  std::vector<Stats::Loop> found;
  std::map<std::string, int> numbers;
  const Lock lock(loops().mutex);
  for (const LoopLag* loop : loops().running)
    found.push_back({loop->name_ + " " + std::to_string(numbers[loop->name_]++), loop->worst()});
  return found;
}

}  // namespace spoold::server
