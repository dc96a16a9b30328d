#include "server/delivery/delivery.hpp"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "conf/load.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"
#include "store/broken.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

constexpr std::size_t recipients_at_once = 1000;
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

/// The same of what all threads know.
struct GatheredStates {
  std::vector<DestinationState> all;
  std::atomic<std::size_t> owed{0};
  std::mutex mutex;
  Lanes::Destinations done;

  void add(std::vector<DestinationState> some) {
    {
      const std::lock_guard lock(mutex);
      std::move(some.begin(), some.end(), std::back_inserter(all));
    }
    if (--owed == 0) done(std::move(all));
  }
};

int signatures_at_a_time(const conf::Settings& settings) {
  return settings.server.threads > 0 ? settings.server.threads
                                     : static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

Delivery::Delivery(std::vector<asio::io_context*> contexts, store::Store& store,
                   const std::shared_ptr<const conf::Settings>& settings, list::Hmac hmac, Stats& stats)
    : settings_(settings),
      resolver_(*contexts.front(), settings->resolver),
      context_{store,
               stats,
               std::move(hmac),
               [this](const std::string& route) { wake_one(route); },
               resolver_,
               Connections(settings->delivery.max_connections,
                           [this] { each_set([](LaneSet& set) { set.crowded(); }); }),
               {},
               Groups([this, calls = calls_](const std::string& route) {
                 if (*calls) call(route);
               }),
               Signing(store, signatures_at_a_time(*settings)),
               SevenBit(store, context_.signing)},
      again_(*contexts.front()) {
  for (asio::io_context* io : contexts)
    sets_.push_back(std::make_unique<LaneSet>(context_, *io, settings, wires_in_all / contexts.size()));
}

Delivery::~Delivery() {
  *calls_ = false;
}

LaneSet& Delivery::set_of(const std::string& route) {
  return *sets_[std::hash<std::string>{}(route) % sets_.size()];
}

tl::expected<void, std::string> Delivery::open() {
  auto context = TlsContext::make(settings_.get()->delivery.ca_file);
  if (!context) return tl::unexpected(std::move(context.error()));
  for (const auto& set : sets_) set->use(*context);
  return {};
}

void Delivery::use(const std::shared_ptr<const conf::Settings>& settings) {
  settings_.set(settings);
  each_set([settings](LaneSet& set) { set.renew(settings, nullptr); });
}

void Delivery::use(const std::shared_ptr<const TlsContext>& context) {
  each_set([context](LaneSet& set) { set.renew(nullptr, context); });
}

void Delivery::use(std::shared_ptr<const SigningKeys> keys) {
  context_.signing.use(std::move(keys));
}

void Delivery::end_lifetimes(bool on) {
  context_.lifetimes = on;
}

void Delivery::start() {
  wake({});
}

void Delivery::wake(const std::vector<std::string>& routes) {
  if (!routes.empty()) {
    for (const std::string& route : routes) wake_one(route);
    return;
  }
  asio::post(sets_.front()->io(), [this, calls = calls_] {
    if (*calls) wake_all();
  });
}

// On the first loop. Where no slot for readers is free it looks again in a second.
void Delivery::wake_all() {
  std::vector<store::spool::DueRoute> due;
  try {
    const store::Read read(context_.store);
    due = store::spool::due_routes(read);
  } catch (const store::Broken& broken) {
    if (broken.error.kind != store::Error::Kind::full) throw;
    again_.expires_after(std::chrono::seconds(1));
    return again_.async_wait([this, calls = calls_](std::error_code error) {
      if (!error && *calls) wake_all();
    });
  }
  std::unordered_map<LaneSet*, std::vector<store::spool::DueRoute>> parts;
  for (store::spool::DueRoute& route : due) parts[&set_of(route.route)].push_back(std::move(route));
  for (auto& [set, part] : parts)
    asio::post(set->io(), [set = set, part = std::move(part)] {
      for (const store::spool::DueRoute& one : part) set->due_at(one.route, one.earliest);
    });
}

void Delivery::wake_one(const std::string& route) {
  set_of(route).tell_due(route);
}

void Delivery::call(const std::string& route) {
  LaneSet& set = set_of(route);
  asio::post(set.io(), [&set, route] { set.called(route); });
}

void Delivery::each_set(const std::function<void(LaneSet&)>& act) {
  for (const auto& set : sets_) asio::post(set->io(), [&set = *set, act] { act(set); });
}

// On the caller's thread, a page of recipients a Read. The clocks of all other hosts wait on.
void Delivery::retry_now(store::Id message) {
  std::set<std::string> domains, routes;
  for (std::uint32_t from = 0;;) {
    std::vector<store::Recipient> page;
    {
      const store::Read read(context_.store);
      page = store::spool::recipients(read, message, from, recipients_at_once);
    }
    for (const store::Recipient& recipient : page)
      if (store::is_waiting(recipient.state)) domains.emplace(domain_of(recipient.address));
    if (page.size() < recipients_at_once) break;
    from = page.back().number + 1;
  }
  const auto settings = settings_.get();
  for (const std::string& domain : domains) routes.insert(conf::route_of(*settings, mail::lower(domain)));
  each_set([message, routes = std::move(routes)](LaneSet& set) { set.retry_now(message, routes); });
}

void Delivery::wake_hosts(const std::vector<std::string>& routes) {
  const TimePoint wished = context_.store.now();  // faults met since are not what the operator knew of
  for (const std::string& route : routes) {
    LaneSet& set = set_of(route);
    asio::post(set.io(), [&set, route, wished] { set.wake_host(route, wished); });
  }
}

void Delivery::destinations(Destinations done) {
  if (stopping_) return done({});
  const auto all = std::make_shared<GatheredStates>();
  all->owed = sets_.size();
  all->done = std::move(done);
  each_set([all](LaneSet& set) { all->add(set.states()); });
}

void Delivery::give_back(store::Id message, std::vector<std::uint32_t> numbers) {
  each_set([message, numbers = std::move(numbers)](LaneSet& set) {
    set.each([&](Lane& lane) { lane.give_back(message, numbers); });
  });
}

void Delivery::withdraw(store::Id message, std::vector<std::uint32_t> numbers, Withdrawn done) {
  if (stopping_) return done(std::vector<delivery::Withdrawal>(numbers.size(), delivery::Withdrawal::idle));
  const auto all = std::make_shared<Gathered>();
  all->answers.assign(numbers.size(), delivery::Withdrawal::idle);
  all->owed = sets_.size();
  all->done = std::move(done);
  each_set([all, message, numbers = std::move(numbers)](LaneSet& set) {
    all->owed += set.size();
    set.each([&](Lane& lane) {
      lane.withdraw(message, numbers, [all](const std::vector<delivery::Withdrawal>& some) {
        all->add(some);
        all->answered();
      });
    });
    all->answered();
  });
}

void Delivery::stop(Duration grace, std::function<void()> stopped) {
  if (stopping_.exchange(true)) return each_set([](LaneSet& set) { set.abort(); });
  resolver_.stop();
  auto owed = std::make_shared<std::atomic<std::size_t>>(sets_.size());
  const auto one = [owed, stopped = std::move(stopped)] {
    if (--*owed == 0) stopped();
  };
  each_set([owed, one, grace](LaneSet& set) {
    set.stop(grace, one, [&](std::size_t lanes) { *owed += lanes; });
    one();
  });
}

}  // namespace spoold::server
