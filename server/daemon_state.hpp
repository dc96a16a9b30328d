// What the daemon is made of. Included by daemon.cpp and daemon_reload.cpp only.
#pragma once
#include <atomic>

#include "conf/routes.hpp"
#include "protocol/clock_watch.hpp"
#include "server/admin/control_socket.hpp"
#include "server/admin/operator.hpp"
#include "server/auth/signing_keys.hpp"
#include "server/current.hpp"
#include "server/daemon.hpp"
#include "server/delivery/delivery.hpp"
#include "server/delivery/reporter.hpp"
#include "server/inbound/reception.hpp"
#include "server/loop_lag.hpp"
#include "server/office/report.hpp"
#include "server/reloader.hpp"
#include "server/service_manager.hpp"
#include "server/stats.hpp"
#include "server/stop.hpp"
#include "server/store_readers.hpp"
#include "server/threads.hpp"
#include "store/store.hpp"

namespace spoold::server {

// In the order in which they are made. take_down() destroys what uses the store or the loops; what is left goes
// in reverse order.
struct Daemon::State {
  State(conf::Settings s, std::string f)
      : settings(std::make_shared<const conf::Settings>(std::move(s))),
        file(std::move(f)),
        current(settings),
        routes(std::make_shared<const conf::Routes>(*settings)),
        stop(settings->server.grace),
        receiving(Threads::Work::receive, settings->server.threads, [this](const auto& e) { thrown(e); }),
        delivering(Threads::Work::deliver, settings->server.threads, [this](const auto& e) { thrown(e); }),
        ticker(receiving.context(0)),
        digest_ticker(receiving.context(0)),
        watchdog(receiving.context(0)),
        reloader([this] { reload(); }) {
    stats.loops = LoopLag::all;
    stop.on_hangup = [this] { reloader.request(); };
  }

  const std::shared_ptr<const conf::Settings> settings;  // at the start
  const std::string file;
  Current<conf::Settings> current;  // as they were read last
  ServiceNotifier manager;
  Current<conf::Routes> routes;  // of recipients that are accepted or edited
  Stats stats;
  Stop stop;
  Threads receiving, delivering;  // clients, operators and the clock; lanes
  std::shared_ptr<const Certificates> certificates;
  std::shared_ptr<const SigningKeys> signing_keys;
  std::unique_ptr<Reports> reports;  // set before anything is accepted or delivered
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Delivery> delivery;
  std::unique_ptr<Reporter> reporter;
  std::unique_ptr<StoreReaders> store_readers;
  std::unique_ptr<Reception> reception;
  std::unique_ptr<Operator> operator_;
  std::unique_ptr<ControlSocket> control;
  std::unique_ptr<asio::thread_pool>
      digesting;  // digests are made there: they are read and written as a whole
  asio::steady_timer ticker, digest_ticker,
      watchdog;  // of receiving.context(0), like all that is posted to it
  std::atomic<bool> stopping{false}, delivery_stopped{false};
  list::Hmac hmac;
  std::optional<ClockWatch> clock;  // of receiving.context(0)
  Reloader reloader;

  tl::expected<void, std::string> open_store();
  tl::expected<void, std::string> read_key_files();
  tl::expected<void, std::string> bind();
  void thrown(const std::exception&);
  void wake(std::vector<std::string> due);
  void look_at_clock();
  TimePoint age() const;
  void tick_held();
  void tick_digests();
  void start();
  void take_down();
  void refuse_new_work();
  void finish_open_work();
  void end_the_loops();
  void sweep();
  void tell_of_the_crash();
  void hold_what_crashed();
  void reroute();
  void tell_alive();

  // daemon_reload.cpp
  void reload();
  bool read_again();
};

}  // namespace spoold::server
