#include "server/daemon.hpp"

#include <csignal>
#include <optional>

#include "conf/load.hpp"
#include "server/admin/control_socket.hpp"
#include "server/admin/operator.hpp"
#include "server/delivery/delivery.hpp"
#include "server/delivery/report.hpp"
#include "server/delivery/reporter.hpp"
#include "server/inbound/reception.hpp"
#include "server/log.hpp"
#include "server/privileges.hpp"
#include "server/stats.hpp"
#include "server/store_readers.hpp"
#include "server/threads.hpp"
#include "server/verp_key.hpp"
#include "store/spool/spool.hpp"
#include "store/store.hpp"
#include "store/txn.hpp"

namespace spoold::server {

using log::Level;

namespace {

constexpr auto sweep_every = std::chrono::minutes(10);

TimePoint now() {
  return std::chrono::floor<Duration>(std::chrono::system_clock::now());
}

void log_bug(const std::string& what) {
  log::event(Level::error, "bug", {{"reason", what}});
}

}  // namespace

// Members are destroyed in reverse order: what uses the store goes before it, what runs on the threads after
// they ended.
struct Daemon::State {
  explicit State(conf::Settings s)
      : settings(std::make_shared<const conf::Settings>(std::move(s))),
        receiving(Threads::Work::receive, settings->server.threads, log_bug),
        delivering(Threads::Work::deliver, settings->server.threads, log_bug),
        signals(receiving.context(0)),
        ticker(receiving.context(0)) {}

  const std::shared_ptr<const conf::Settings> settings;
  Stats stats;
  Threads receiving, delivering;     // clients, operators and the clock; lanes
  std::unique_ptr<Reports> reports;  // set before anything is accepted or delivered
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Delivery> delivery;
  std::unique_ptr<Reporter> reporter;
  std::unique_ptr<StoreReaders> store_readers;
  std::unique_ptr<Reception> reception;
  std::unique_ptr<Operator> operator_;
  std::unique_ptr<ControlSocket> control;
  asio::signal_set signals;
  asio::steady_timer ticker;
  std::chrono::steady_clock::time_point cut_off_at{};
  bool stopping = false, delivery_stopped = false, reception_cut = false;
  int exit_status = 0;

  tl::expected<void, std::string> open_store();
  void start();
  void wait_for_signal();
  void signalled(int signal);
  void stop(const std::string& why, int status);
  void watch_the_stop();
  void sweep();
  void tell_of_the_crash();
  void reroute();
};

Daemon::Daemon(conf::Settings settings) : state_(std::make_unique<State>(std::move(settings))) {}
Daemon::~Daemon() = default;

tl::expected<void, std::string> Daemon::open() {
  State& s = *state_;
  log::configure(s.settings->log);
  Privileges privileges(s.settings->server.user, s.settings->spool.path);
  if (auto lowered = privileges.lower(); !lowered) return lowered;
  auto opened = s.open_store();
  privileges.raise();
  if (!opened) return opened;
  auto secret = verp_secret(s.settings->verp, s.store->secret());
  if (!secret) return tl::unexpected(secret.error());
  const list::Hmac hmac = hmac_sha256(*secret);
  s.delivery = std::make_unique<Delivery>(s.delivering.contexts(), *s.store, s.settings, hmac, s.stats);
  s.reports = std::make_unique<Reports>(*s.settings, hmac);
  s.reporter = std::make_unique<Reporter>(s.receiving.context(0), *s.store, s.settings->delivery.report_wait,
                                          s.settings->delivery.delay_warning);
  s.store_readers = std::make_unique<StoreReaders>(s.receiving.context(0), *s.store);
  s.reception = std::make_unique<Reception>(*s.settings, *s.store, s.receiving, s.stats, hmac,
                                            [&s](const auto& routes) { s.delivery->wake(routes); });
  s.operator_ = std::make_unique<Operator>(*s.store, *s.settings, *s.delivery, &s.stats);
  s.control = std::make_unique<ControlSocket>(s.receiving.context(0), *s.settings, *s.operator_);
  if (auto bound = s.reception->bind(); !bound) return bound;
  if (auto bound = s.control->open(); !bound) return bound;
  return privileges.drop();
}

tl::expected<void, std::string> Daemon::State::open_store() {
  store::Options options;
  options.path = settings->spool.path;
  options.max_size = settings->spool.max_size;
  options.reserve = settings->spool.reserve;
  options.history = settings->spool.history;
  options.clock = now;
  options.route = [shared = settings](std::string_view domain) { return conf::route_of(*shared, domain); };
  options.on_due = [this](std::string route) {
    if (delivery) delivery->wake({std::move(route)});
  };
  options.report_wait = settings->delivery.report_wait;
  options.delay_warning = settings->delivery.delay_warning;
  options.report = [this](const store::Read& read, const store::Message& about, mail::Report report) {
    return reports->acceptance(read, about, std::move(report));
  };
  options.on_report = log_report;
  options.on_stop = [this](std::string why) {
    asio::post(receiving.context(0), [this, why = std::move(why)] { stop(why, 1); });
  };
  auto opened = store::Store::open(std::move(options));
  if (!opened) return tl::unexpected(opened.error().text);
  store = std::move(*opened);
  return {};
}

int Daemon::run() {
  State& s = *state_;
  const log::Buffering buffering;
  asio::post(s.receiving.context(0), [&s] { s.start(); });
  s.delivering.start();
  s.receiving.start();
  s.receiving.join();
  s.delivering.join();
  s.control.reset();
  s.reception.reset();
  s.reporter.reset();
  s.store_readers.reset();
  s.delivery.reset();
  s.store.reset();
  log::event(Level::info, "stopped", {{"status", s.exit_status}});
  return s.exit_status;
}

void Daemon::State::start() {
  signals.add(SIGTERM);
  signals.add(SIGINT);
  signals.add(SIGHUP);
  wait_for_signal();
  asio::co_spawn(receiving.context(0), control->serve(), asio::detached);
  tell_of_the_crash();
  reroute();
  delivery->start();
  reception->start();
  reporter->start();
  store_readers->start();
  sweep();
  log::event(Level::info, "ready",
             {{"hostname", settings->hostname},
              {"spool", settings->spool.path},
              {"listeners", settings->listen.size()},
              {"possible_duplicates", store->possible_duplicates()}});
}

/// The crash promise (design section 6): an upper bound of what may arrive twice.
void Daemon::State::tell_of_the_crash() {
  if (const auto recipients = store->possible_duplicates())
    log::event(Level::warning, "indoubt",
               {{"recipients", recipients},
                {"reply",
                 "they may have been on the wire when spoold ended; they are tried again, and so may "
                 "get the message twice"}});
}

/// What was due on a route that the configuration does not give any more goes the way it names now.
void Daemon::State::reroute() {
  std::vector<store::spool::DueRoute> due;
  {
    const store::Read read(*store);
    due = store::spool::due_routes(read);
  }
  for (const store::spool::DueRoute& lost : due) {
    if (conf::is_route(*settings, lost.route)) continue;
    log::event(Level::warning, "rerouted", {{"relay", lost.route}});
    store->reroute(lost.route, [this](const store::Result<void>&) { delivery->wake({}); });
  }
}

void Daemon::State::wait_for_signal() {
  signals.async_wait([this](const std::error_code& error, int signal) {
    if (error) return;
    wait_for_signal();
    signalled(signal);
  });
}

void Daemon::State::signalled(int signal) {
  if (signal == SIGHUP) {
    log::event(Level::warning, "reload",
               {{"reply",
                 "a running spoold does not read its configuration again in this version: "
                 "stop it and start it"}});
    return;
  }
  stop(signal == SIGTERM ? "SIGTERM" : "SIGINT", 0);
}

/// The first call stops in order, the second one cuts what is still open.
void Daemon::State::stop(const std::string& why, int status) {
  exit_status = std::max(exit_status, status);
  const bool again = stopping;
  if (!again) log::event(status ? Level::error : Level::info, "stopping", {{"reason", why}});
  stopping = true;
  // A store that has stopped takes nothing more: who waits for its answer hears 451 in a moment.
  const Duration grace = again ? Duration::zero() : status ? Duration(1000) : settings->server.grace;
  cut_off_at = std::chrono::steady_clock::now() + grace;
  if (!again) reception->stop();
  if (!again) reporter->stop();
  if (!again) store_readers->stop();
  delivery->stop(grace, [this] { asio::post(receiving.context(0), [this] { delivery_stopped = true; }); });
  if (!again) watch_the_stop();
}

/// Looks every 10 ms whether everybody has left; at the end of the grace it closes what is left.
void Daemon::State::watch_the_stop() {
  const auto time = std::chrono::steady_clock::now();
  if (!reception_cut && time >= cut_off_at && !reception->idle()) {
    reception_cut = true;
    reception->cut_off();
  }
  // Delivery answers once what was heard is in the store; a store that cannot take it any more is not waited
  // for.
  const bool given_up = time >= cut_off_at + std::chrono::seconds(exit_status ? 1 : 10);
  if ((reception->idle() && delivery_stopped) || given_up) {
    control->close();
    receiving.stop();
    delivering.stop();
    return;
  }
  ticker.expires_after(std::chrono::milliseconds(10));
  ticker.async_wait([this](const std::error_code& error) {
    if (!error) watch_the_stop();
  });
}

void Daemon::State::sweep() {
  if (stopping) return;
  store->sweep(now(), [](const store::Result<void>&) {});
  ticker.expires_after(sweep_every);
  ticker.async_wait([this](const std::error_code& error) {
    if (!error) sweep();
  });
}

}  // namespace spoold::server
