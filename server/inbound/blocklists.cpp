#include "server/inbound/blocklists.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "protocol/auth/dnsbl.hpp"
#include "server/log.hpp"

namespace spoold::server {
namespace {

constexpr auto between_tests = std::chrono::hours(1);

}  // namespace

/// One test of one list.
class Blocklists::Test final : public Inquiry {
 public:
  Test(Resolver& resolver, Stats& stats, asio::io_context& io, const conf::Dnsbl& list,
       std::function<void(const Test*, const std::string& fault)> done)
      : Inquiry(resolver, stats, io.get_executor()), done_(std::move(done)) {
    const auto [listed, not_listed] = auth::dnsbl_test_entries(false);
    always_.check.emplace(list, listed);
    never_.check.emplace(list, not_listed);
  }
  void begin() {
    always_.until = never_.until = Resolver::Clock::now() + limit;
    ask_all();
    if (answered()) all_answered();
  }

 private:
  void ask_all() override {
    ask(always_);
    ask(never_);
  }
  void all_answered() override {
    done_(this, auth::dnsbl_fault(always_.check->verdict(), never_.check->verdict()));
  }

  const std::function<void(const Test*, const std::string& fault)> done_;
  Running<auth::DnsblCheck> always_, never_;
};

Blocklists::Blocklists(asio::io_context& io, Resolver& resolver, Stats& stats)
    : io_(io), resolver_(resolver), stats_(stats), hourly_(io) {}

Blocklists::~Blocklists() {
  *alive_ = false;
}

void Blocklists::use(const std::vector<conf::Dnsbl>& lists) {
  std::vector<conf::Dnsbl> added;
  {
    const Lock lock(mutex_);
    for (const conf::Dnsbl& list : lists)
      if (std::ranges::find(lists_, list) == lists_.end()) added.push_back(list);
    lists_ = lists;
  }
  if (added.empty()) return;
  asio::post(io_, [this, alive = alive_, added = std::move(added)] {
    if (!*alive) return;
    test(added);
    test_all_in_an_hour();
  });
}

void Blocklists::stop() {
  asio::post(io_, [this, alive = alive_] {
    if (!*alive) return;
    hourly_.cancel();
    running_.clear();
  });
}

bool Blocklists::works(const std::string& zone) const {
  const Lock lock(mutex_);
  const auto found = states_.find(zone);
  return found != states_.end() && found->second.works;
}

void Blocklists::test_all_in_an_hour() {
  hourly_.expires_after(between_tests);
  hourly_.async_wait([this, alive = alive_](const std::error_code& error) {
    if (error || !*alive) return;
    std::vector<conf::Dnsbl> all;
    {
      const Lock lock(mutex_);
      all = lists_;
    }
    test(all);
    test_all_in_an_hour();
  });
}

void Blocklists::test(const std::vector<conf::Dnsbl>& lists) {
  for (const conf::Dnsbl& list : lists) {
    auto done = [this, zone = list.zone](const Test* which, const std::string& fault) {
      tested(zone, fault);
      std::erase_if(running_, [&](const std::shared_ptr<Test>& one) { return one.get() == which; });
    };
    const auto test = std::make_shared<Test>(resolver_, stats_, io_, list, std::move(done));
    running_.push_back(test);
    test->begin();
  }
}

void Blocklists::tested(const std::string& zone, const std::string& fault) {
  bool changed = false, first = false;
  {
    const Lock lock(mutex_);
    State& state = states_[zone];
    first = !std::exchange(state.tested, true);
    changed = std::exchange(state.works, fault.empty()) != fault.empty();
  }
  if (!fault.empty() && (changed || first))
    log::event(log::Level::warning, "dnsbl",
               {{"zone", zone}, {"reply", fault + "; it is not asked until it works"}});
  else if (fault.empty() && changed)
    log::event(log::Level::info, "dnsbl", {{"zone", zone}, {"reply", "the list works, and is asked"}});
}

void Blocklists::failed(const std::string& zone, const std::string& why) {
  {
    const Lock lock(mutex_);
    State& state = states_[zone];
    const auto now = std::chrono::steady_clock::now();
    if (now < state.quiet_until) return;
    state.quiet_until = now + between_tests;
  }
  log::event(log::Level::warning, "dnsbl", {{"zone", zone}, {"reply", why + "; nobody is refused for it"}});
}

}  // namespace spoold::server
