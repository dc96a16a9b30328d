// A Delivery with one next hop that does what the test says, on the test's own loop. At the end it is stopped, the
// store is sound, and no connection is left.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "conf/load.hpp"
#include "server/delivery/delivery.hpp"
#include "server/log.hpp"
#include "server/verp_key.hpp"
#include "store/key.hpp"
#include "tests/server/scripted_peer.hpp"
#include "tests/store/opened.hpp"

namespace spoold::server {

struct Workshop {
  Workshop() : opened(folder.path()), peer(io) {
    conf::Log quiet;
    quiet.level = "error";
    log::configure(quiet);
    if (auto ok = opened.open(); !ok) throw std::runtime_error(ok.error().text);
    settings.hostname = "me.example";
    settings.relay.smarthost = {conf::parse_next_hop(peer.url()).value()};
    settings.delivery.connections_per_destination = 1;
  }
  ~Workshop() {
    bool stopped = delivery == nullptr;
    if (delivery) delivery->stop(Duration(100), [&] { stopped = true; });
    CHECK(until([&] { return stopped; }));
    CHECK(opened.problems() == "");
    CHECK(stats.open_out == 0);
  }
  void start(list::Hmac hmac = hmac_sha256("0123456789abcdef")) {
    delivery =
        std::make_unique<Delivery>(std::vector{&io}, *opened.store,
                                   std::make_shared<const conf::Settings>(settings), std::move(hmac), stats);
    delivery->start();
  }
  /// Runs the loop; what leaves it as an exception is kept in `thrown`.
  template <class Done>
  bool until(Done done, std::chrono::milliseconds limit = std::chrono::seconds(60)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io.restart();
      try {
        turns += io.run_for(std::chrono::milliseconds(5));
      } catch (const std::exception& exception) {
        thrown.emplace_back(exception.what());
      }
    }
    return true;
  }
  void rest(std::chrono::milliseconds time) {
    until([] { return false; }, time);
  }
  void pass(Duration d) {
    opened.pass(d);
    delivery->wake({"relay"});
  }
  store::Id mail(std::vector<std::string> to, std::string bytes = "Subject: x\r\n\r\nbody\r\n") {
    const auto accepted = opened.accept(store::plain(std::move(to), std::move(bytes))).value();
    delivery->wake(accepted.routes);
    return accepted.ids.front();
  }
  bool all(store::Id id, auto is) {
    const auto recipients = opened.recipients(id);
    return std::all_of(recipients.begin(), recipients.end(), is);
  }
  bool delivered(store::Id id) {
    return all(id, [](const auto& r) { return r.state == store::RecipientState::delivered; });
  }
  bool waits(store::Id id) {
    return all(id, [](const auto& r) { return r.state == store::RecipientState::queued && !r.active; });
  }
  std::optional<store::HostRow> remembered() {
    const store::Read read(*opened.store);
    return store::spool::host(read, "relay");
  }
  void row(store::Table table, const store::Key& key, std::optional<std::string> value) {
    REQUIRE(opened.change([&](store::Write& write) -> store::Result<void> {
      if (value)
        write.put(table, key, *value);
      else
        write.del(table, key);
      return {};
    }));
  }

  store::Folder folder;
  store::Opened opened;
  asio::io_context io{1};
  ScriptedPeer peer;
  conf::Settings settings;
  Stats stats;
  std::unique_ptr<Delivery> delivery;
  std::vector<std::string> thrown;
  std::size_t turns = 0;
};

}  // namespace spoold::server
