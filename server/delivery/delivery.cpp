#include "server/delivery/delivery.hpp"

#include <algorithm>
#include <mutex>
#include <random>
#include <utility>

#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

constexpr std::size_t wires_in_all = 32 << 20;  // octets of messages kept in memory, over all threads

// Several threads give answers about the same recipients; the strongest one counts.
struct Gathered {
  std::vector<delivery::Withdrawal> answers;
  std::atomic<std::size_t> owed{0};
  std::mutex mutex;
  Lanes::Withdrawn done;

  void add(const std::vector<delivery::Withdrawal>& some) {
    const std::lock_guard lock(mutex);
    for (std::size_t i = 0; i < some.size(); ++i) answers[i] = std::max(answers[i], some[i]);
  }
  void answered() {
    if (--owed == 0) done(std::move(answers));
  }
};

}  // namespace

struct Delivery::Loop {
  Loop(asio::io_context& context, store::Store& store, std::shared_ptr<const conf::Settings> conf,
       std::size_t budget)
      : io(context), grace(context), settings(std::move(conf)), wires(store, budget) {}
  asio::io_context& io;
  asio::steady_timer grace;
  std::shared_ptr<const conf::Settings> settings;  // of new lanes
  WireCache wires;
  std::map<std::string, std::unique_ptr<Lane>> lanes;
  bool stopping = false;
};

Delivery::Delivery(std::vector<asio::io_context*> contexts, store::Store& store,
                   std::shared_ptr<const conf::Settings> settings, list::Hmac hmac, Stats& stats)
    : context_{store, stats, std::move(hmac), [this](const std::string& route) { wake_one(route); }} {
  for (asio::io_context* io : contexts)
    loops_.push_back(std::make_unique<Loop>(*io, store, settings, wires_in_all / contexts.size()));
}

Delivery::~Delivery() = default;

Delivery::Loop& Delivery::loop_of(const std::string& route) {
  return *loops_[std::hash<std::string>{}(route) % loops_.size()];
}

Lane& Delivery::lane_of(Loop& loop, const std::string& route) {
  std::unique_ptr<Lane>& lane = loop.lanes[route];
  if (!lane)
    lane =
        std::make_unique<Lane>(context_, loop.io, loop.wires, loop.settings, route, std::random_device{}());
  return *lane;
}

void Delivery::start() {
  wake({});
}

void Delivery::wake(const std::vector<std::string>& routes) {
  if (!routes.empty()) {
    for (const std::string& route : routes) wake_one(route);
    return;
  }
  std::vector<store::spool::DueRoute> due;
  {
    const store::Read read(context_.store);
    due = store::spool::due_routes(read);
  }
  for (const store::spool::DueRoute& route : due) wake_one(route.route);
}

void Delivery::wake_one(const std::string& route) {
  Loop& loop = loop_of(route);
  asio::post(loop.io, [this, &loop, route] {
    if (!loop.stopping) lane_of(loop, route).wake();
  });
}

void Delivery::each_lane(std::function<void(Lane&)> act) {
  for (const auto& loop : loops_)
    asio::post(loop->io, [&loop = *loop, act] {
      for (const auto& [route, lane] : loop.lanes) act(*lane);
    });
}

void Delivery::reload(std::shared_ptr<const conf::Settings> settings) {
  for (const auto& loop : loops_)
    asio::post(loop->io, [&loop = *loop, settings] {
      loop.settings = settings;
      for (const auto& [route, lane] : loop.lanes) lane->reload(settings);
    });
}

void Delivery::retry_now(store::Id message) {
  each_lane([message](Lane& lane) { lane.retry_now(message); });
}

void Delivery::give_back(store::Id message, std::vector<std::uint32_t> numbers) {
  each_lane([message, numbers = std::move(numbers)](Lane& lane) { lane.give_back(message, numbers); });
}

void Delivery::withdraw(store::Id message, std::vector<std::uint32_t> numbers, Withdrawn done) {
  const auto all = std::make_shared<Gathered>();
  all->answers.assign(numbers.size(), delivery::Withdrawal::idle);
  all->owed = loops_.size();
  all->done = std::move(done);
  for (const auto& loop : loops_)
    asio::post(loop->io, [&loop = *loop, all, message, numbers] {
      all->owed += loop.lanes.size();
      for (const auto& [route, lane] : loop.lanes)
        lane->withdraw(message, numbers, [all](std::vector<delivery::Withdrawal> some) {
          all->add(some);
          all->answered();
        });
      all->answered();
    });
}

void Delivery::stop(Duration grace, std::function<void()> stopped) {
  if (stopping_.exchange(true)) {
    for (const auto& loop : loops_)
      asio::post(loop->io, [&loop = *loop] {
        for (const auto& [route, lane] : loop.lanes) lane->abort();
      });
    return;
  }
  auto owed = std::make_shared<std::atomic<std::size_t>>(loops_.size());
  const auto one = [owed, stopped = std::move(stopped)] {
    if (--*owed == 0) stopped();
  };
  for (const auto& loop : loops_)
    asio::post(loop->io, [&loop = *loop, owed, one, grace] {
      loop.stopping = true;
      *owed += loop.lanes.size();
      for (const auto& [route, lane] : loop.lanes) lane->stop(one);
      loop.grace.expires_after(grace);
      loop.grace.async_wait([&loop](std::error_code error) {
        if (error) return;
        for (const auto& [route, lane] : loop.lanes) lane->abort();
      });
      one();
    });
}

}  // namespace spoold::server
