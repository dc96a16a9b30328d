// Many lanes: what they remember of their hosts, how they share connections, when they leave memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "conf/load.hpp"
#include "server/admin/destinations.hpp"
#include "server/delivery/delivery.hpp"
#include "server/log.hpp"
#include "server/verp_key.hpp"
#include "tests/server/scripted_peer.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::server;
using store::RecipientState;

namespace {

/// d0.example, d1.example ... each with a next hop of its own.
struct Town {
  explicit Town(int hops) : opened(folder.path()) {
    conf::Log quiet;
    quiet.level = "error";
    log::configure(quiet);
    settings.hostname = "me.example";
    for (int i = 0; i < hops; ++i) {
      peers.push_back(std::make_unique<ScriptedPeer>(io));
      conf::RelayDomain domain;
      domain.name = "d" + std::to_string(i) + ".example";
      domain.deliver_to = {conf::parse_next_hop(peers.back()->url()).value()};
      settings.domains.push_back(domain);
    }
    opened.options.route = [this](std::string_view domain) { return conf::route_of(settings, domain); };
    if (auto ok = opened.open(); !ok) throw std::runtime_error(ok.error().text);
  }
  ~Town() {
    stop();
    CHECK(opened.problems() == "");
  }
  void start() {
    delivery = std::make_unique<Delivery>(std::vector{&io}, *opened.store,
                                          std::make_shared<const conf::Settings>(settings),
                                          hmac_sha256("0123456789abcdef"), stats);
    delivery->start();
  }
  void stop() {
    if (!delivery) return;
    bool stopped = false;
    delivery->stop(Duration(100), [&] { stopped = true; });
    CHECK(until([&] { return stopped; }));
    delivery.reset();
  }
  template <class Done>
  bool until(Done done, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io.restart();
      io.run_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  std::string route(int hop) const {
    return settings.domains[static_cast<std::size_t>(hop)].deliver_to.front().text;
  }
  store::Id mail(int hop, int recipients, int from = 0) {
    std::vector<std::string> all;
    for (int i = from; i < from + recipients; ++i)
      all.push_back("r" + std::to_string(1000 + i) + "@d" + std::to_string(hop) + ".example");
    const auto accepted = opened.accept(store::plain(all)).value();
    if (delivery) delivery->wake(accepted.routes);
    return accepted.ids.front();
  }
  bool done(store::Id id) { return opened.message(id)->counts.open() == 0; }
  std::size_t got() const {
    std::size_t n = 0;
    for (const auto& peer : peers) n += peer->got.size();
    return n;
  }
  int open() const {
    int n = 0;
    for (const auto& peer : peers) n += peer->open;
    return n;
  }
  std::optional<store::HostRow> remembered(int hop) {
    const store::Read read(*opened.store);
    return store::spool::host(read, route(hop));
  }
  std::vector<DestinationState> states() {
    std::vector<DestinationState> all;
    bool answered = false;
    delivery->destinations([&](std::vector<DestinationState> states) {
      all = std::move(states);
      answered = true;
    });
    REQUIRE(until([&] { return answered; }));
    return all;
  }
  std::optional<DestinationState> state(int hop) {
    for (const DestinationState& one : states())
      if (one.route == route(hop)) return one;
    return std::nullopt;
  }

  store::Folder folder;
  store::Opened opened;
  asio::io_context io{1};
  std::vector<std::unique_ptr<ScriptedPeer>> peers;
  conf::Settings settings;
  Stats stats;
  std::unique_ptr<Delivery> delivery;
};

}  // namespace

TEST_CASE("a dead next hop: its lane leaves, its clock stays, through a restart too; wake tries it at once") {
  Town town(2);
  town.peers[0]->refuse();
  town.start();
  const store::Id id = town.mail(0, 3), living = town.mail(1, 3);
  REQUIRE(town.until([&] { return town.done(living) && town.remembered(0); }));
  const auto row = town.remembered(0);
  CHECK(row->memory.until > town.opened.now());
  CHECK(row->memory.failures == 1);
  CHECK(row->memory.last_error.find("cannot connect") != std::string::npos);
  // Nobody was charged: the host's clock, not theirs (isolation.md I2).
  for (const auto& r : town.opened.recipients(id)) {
    CHECK(r.attempts == 0);
    CHECK(r.state != RecipientState::delivered);
  }
  REQUIRE(town.until([&] { return town.state(0) && town.state(0)->health.empty(); }));  // asleep
  CHECK(town.state(0)->until == row->memory.until);

  const auto tried = town.stats.sessions_out.load();
  town.stop();
  town.start();
  town.mail(0, 1, 10);
  REQUIRE(town.until([&] { return town.state(0) && town.state(0)->until == row->memory.until; }));
  CHECK(town.stats.sessions_out == tried);

  town.delivery->wake_hosts({town.route(0)});
  REQUIRE(town.until([&] { return town.stats.sessions_out == tried + 1; }));
  REQUIRE(town.until([&] { return town.remembered(0)->memory.failures == 2; }));
  town.opened.pass(std::chrono::minutes(3));
  town.delivery->wake({town.route(0)});
  REQUIRE(town.until([&] { return town.remembered(0)->memory.failures == 3; }));
  CHECK(town.stats.sessions_out == tried + 2);  // one probe
}

TEST_CASE("with max_connections reached, lanes take turns, and idle connections do not keep them waiting") {
  Town town(30);
  town.settings.delivery.max_connections = 3;
  std::vector<store::Id> ids;
  for (int hop = 0; hop < 30; ++hop) ids.push_back(town.mail(hop, 150));
  int most = 0;
  const auto began = std::chrono::steady_clock::now();
  town.start();
  CHECK(town.until([&] {
    most = std::max(most, static_cast<int>(town.stats.open_out));
    return std::all_of(ids.begin(), ids.end(), [&](store::Id id) { return town.done(id); });
  }));
  // An idle connection is kept for three seconds; nine of ten lanes wait for somebody else's.
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(15));
  CHECK(most <= 3);
  CHECK(town.got() == 60);
  CHECK(town.until([&] { return town.states().size() <= 3; }));  // the others have left
}

TEST_CASE("a lane with many connections gives way to one that has none") {
  Town town(2);
  town.settings.delivery.max_connections = 4;
  town.settings.delivery.recipients_per_transaction = 1;
  const store::Id large = town.mail(0, 3000);
  town.start();
  REQUIRE(town.until([&] { return town.peers[0]->open == 4; }));
  const store::Id small = town.mail(1, 2);
  REQUIRE(town.until([&] { return town.done(small); }));
  CHECK_FALSE(town.done(large));
  REQUIRE(town.until([&] { return town.done(large); }));
  CHECK(town.peers[0]->got.size() == 3000);
}

TEST_CASE("a lane comes and goes: what is due later is done then, what comes meanwhile at once") {
  Town town(1);
  town.peers[0]->script = [](const std::string& stage, const std::string& argument) -> std::string {
    return stage == "rcpt" && argument.find("r1000") != std::string::npos ? "450 4.2.0 later" : "";
  };
  town.start();
  const store::Id id = town.mail(0, 2);
  const auto deferred = [&] { return town.opened.message(id)->counts.deferred == 1; };
  REQUIRE(town.until([&] { return town.opened.message(id)->counts.delivered == 1 && deferred(); }));
  town.opened.pass(std::chrono::seconds(20));  // its connection has been idle for long enough
  town.delivery->wake({town.route(0)});
  REQUIRE(town.until([&] { return town.state(0) && town.state(0)->health.empty(); }));
  const store::Id other = town.mail(0, 1, 5);
  REQUIRE(town.until([&] { return town.done(other); }));
  CHECK(deferred());
  town.peers[0]->script = nullptr;
  town.opened.pass(std::chrono::minutes(10));
  town.delivery->wake({town.route(0)});
  REQUIRE(town.until([&] { return town.done(id); }));
}

TEST_CASE("[[destination]] rate: so many transactions and no more, over all connections") {
  Town town(1);
  conf::Destination slow;
  slow.match = "127.0.0.1";
  slow.rate = conf::Rate{20, std::chrono::seconds(1)};
  town.settings.destinations.push_back(slow);
  town.settings.delivery.recipients_per_transaction = 1;
  town.start();
  const store::Id id = town.mail(0, 50);
  REQUIRE(town.until([&] { return town.got() == 20; }));
  town.until([] { return false; }, std::chrono::milliseconds(200));
  CHECK(town.got() == 20);  // the clock of the store stands
  town.opened.pass(std::chrono::milliseconds(500));
  town.delivery->wake({town.route(0)});
  REQUIRE(town.until([&] { return town.got() == 30; }));
  REQUIRE(town.until([&] {
    town.opened.pass(std::chrono::milliseconds(100));
    town.delivery->wake({town.route(0)});
    return town.done(id);
  }));
}

TEST_CASE("LIMITS RCPTMAX and RCPTDOMAINMAX of a peer are honoured") {
  Town town(1);
  town.peers[0]->script = [](const std::string& stage, const std::string&) -> std::string {
    return stage == "ehlo" ? "250-peer\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=7 RCPTDOMAINMAX=1" : "";
  };
  town.start();
  const store::Id id = town.mail(0, 50);
  REQUIRE(town.until([&] { return town.done(id); }));
  for (const auto& mail : town.peers[0]->got) CHECK(mail.rcpts.size() <= 7);
  CHECK(town.got() == 8);
}

TEST_CASE("a host that takes two connections and answers 421 to a third: everything goes over two") {
  Town town(1);
  ScriptedPeer& peer = *town.peers[0];
  int refused = 0;
  peer.script = [&](const std::string& stage, const std::string&) -> std::string {
    if (stage != "banner" || peer.open <= 2) return "";
    ++refused;
    return "!close:421 4.7.0 too many connections";
  };
  town.settings.delivery.recipients_per_transaction = 1;
  town.start();
  const store::Id id = town.mail(0, 400);
  REQUIRE(town.until([&] { return town.done(id); }));
  CHECK(peer.got.size() == 400);
  CHECK(refused <= 20);
  for (const auto& r : town.opened.recipients(id)) CHECK(r.attempts <= 1);
  REQUIRE(town.until([&] { return town.remembered(0).has_value(); }));
  CHECK(town.remembered(0)->memory.connections <= 3);
}
