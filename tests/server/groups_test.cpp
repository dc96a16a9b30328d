// The groups of all lanes: one for each name, forgotten when nobody is in it; seats over threads.
#include "server/delivery/groups.hpp"

#include <doctest/doctest.h>

#include <set>
#include <thread>

using namespace spoold;
using namespace spoold::server;

namespace {

constexpr TimePoint start{std::chrono::hours(24 * 365 * 50)};

delivery::GroupRules named(const std::string& name) {
  delivery::GroupRules rules;
  rules.name = name;
  rules.connections = 4;
  rules.same_hosts = true;
  return rules;
}

std::unique_ptr<Seat> take(const std::shared_ptr<LockedGroup>& group, const std::string& route) {
  const auto answer = group->with([&](delivery::Group& g) { return g.take(route, 4, false, false, start); });
  return answer.granted ? std::make_unique<Seat>(group) : nullptr;
}

}  // namespace

TEST_CASE(
    "groups: 100,000 hosters one after the other leave a few groups, and none that is in use or waits") {
  Groups groups([](const std::string&) {});
  const auto kept = groups.of(named("mx:kept.test"), start);
  const auto down = groups.of(named("mx:down.test"), start);
  delivery::Group::Fault fault;
  fault.until = start + std::chrono::hours(24 * 365);
  down->with([&](delivery::Group& g) { g.fault(fault, 0, start); });
  const std::weak_ptr<LockedGroup> waits = down;
  std::size_t most = 0;
  for (int i = 0; i < 100'000; ++i) {
    const TimePoint now = start + std::chrono::minutes(i);
    const auto one = groups.of(named("mx:" + std::to_string(i) + ".test"), now);
    one->with([now](delivery::Group& g) { g.take("r", 4, false, false, now); });
    one->with([](delivery::Group& g) { g.give(false); });
    most = std::max(most, groups.size());
  }
  CHECK(most <= 200);
  CHECK(groups.of(named("mx:kept.test"), start) == kept);
  CHECK(groups.of(named("mx:down.test"), start) == waits.lock());
}

TEST_CASE("groups: a seat that ends calls who waits, from whatever thread, never more than may sit") {
  std::mutex mutex;
  std::multiset<std::string> called;
  Groups groups([&](const std::string& route) {
    const std::lock_guard lock(mutex);
    called.insert(route);
  });
  const auto group = groups.of(named("mx:host.test"), start);
  std::atomic<int> sitting{0}, most{0}, sat{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        const auto seat = take(group, std::to_string(t) + "." + std::to_string(i) + ".test");
        if (!seat) continue;
        ++sat;
        most = std::max(most.load(), ++sitting);
        --sitting;
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(most <= 4);
  CHECK(group->with([](const delivery::Group& g) { return g.open(); }) == 0);

  std::vector<std::unique_ptr<Seat>> all;
  for (int i = 0; i < 4; ++i) all.push_back(take(group, "s" + std::to_string(i) + ".test"));
  for (const auto& seat : all) REQUIRE(seat);
  CHECK_FALSE(take(group, "late.test"));
  CHECK(group->crowded());
  CHECK(all.front()->yield());
  while (group->crowded()) {  // whoever the threads left in line comes first
    all.front().reset();
    all.front() = take(group, "s0.test");
    REQUIRE(all.front());
  }
  CHECK(called.count("late.test") == 1);
}
