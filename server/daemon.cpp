#include <unistd.h>

#include "conf/load.hpp"
#include "server/crash_notes.hpp"
#include "server/daemon_state.hpp"
#include "server/log.hpp"
#include "server/loop_lag.hpp"
#include "server/office/digests.hpp"
#include "server/privileges.hpp"
#include "server/verp_key.hpp"
#include "store/broken.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server {

using log::Level;

namespace {

constexpr auto sweep_every = std::chrono::minutes(10), digests_every = std::chrono::minutes(1);

TimePoint now() {
  return std::chrono::floor<Duration>(std::chrono::system_clock::now());
}

}  // namespace

Daemon::Daemon(conf::Settings settings, std::string file)
    : state_(std::make_unique<State>(std::move(settings), std::move(file))) {}
Daemon::~Daemon() = default;

tl::expected<void, std::string> Daemon::open() {
  State& s = *state_;
  log::configure(s.settings->log);
  Privileges privileges(s.settings->server.user, s.settings->spool.path);
  if (auto lowered = privileges.lower(); !lowered) return lowered;
  auto opened = s.open_store();
  // As this user they must be readable at each SIGHUP.
  if (opened) opened = s.read_key_files();
  privileges.raise();
  if (!opened) return opened;
  auto secret = verp_secret(s.settings->verp, s.store->secret());
  if (!secret) return tl::unexpected(secret.error());
  const list::Hmac hmac = s.hmac = hmac_sha256(*secret);
  s.delivery = std::make_unique<Delivery>(s.delivering.contexts(), *s.store, s.settings, hmac, s.stats);
  s.delivery->use(s.signing_keys);
  auto made = make_rules(s.settings, hmac, s.certificates, s.signing_keys);
  if (!made) return tl::unexpected(made.error());
  const auto rules = *std::move(made);
  s.reports = std::make_unique<Reports>(std::shared_ptr<const AddressBook>(rules, &rules->addresses));
  s.reporter = std::make_unique<Reporter>(s.receiving.context(0), *s.store, s.settings->delivery.report_wait,
                                          s.settings->delivery.delay_warning);
  s.store_readers = std::make_unique<StoreReaders>(s.receiving.context(0), *s.store);
  s.reception = std::make_unique<Reception>(rules, *s.store, s.receiving, s.stats,
                                            [&s](const auto& routes) { s.delivery->wake(routes); });
  s.operator_ = std::make_unique<Operator>(*s.store, s.settings, *s.delivery, &s.stats);
  s.operator_->on_broken_store = [&s](const std::string& why) { s.stop.request(why, 1); };
  s.control = std::make_unique<ControlSocket>(s.receiving.context(0), *s.settings, *s.operator_);
  if (auto bound = s.bind(); !bound) return bound;
  if (auto bound = s.control->open(); !bound) return bound;
  if (auto dropped = privileges.drop(); !dropped) return dropped;
  // Before any door is open: ca_file must be readable for the user that spoold runs as.
  if (auto ready = s.delivery->open(); !ready) return ready;
  s.control->link();
  return {};
}

tl::expected<void, std::string> Daemon::State::open_store() {
  store::Options options = store::options_of(*settings);
  options.route = [this](std::string_view domain) { return routes.get()->of(domain); };
  options.on_due = [this](std::string route) { wake({std::move(route)}); };
  options.on_warning = [](const std::string& text) {
    log::event(Level::warning, "store", {{"reply", text}});
  };
  options.report = [this](const store::Read& read, const store::Message& about, smtp::Dsn report) {
    return reports->acceptance(read, about, std::move(report));
  };
  options.on_report = log_report;
  options.failed = [this](const store::Read& read, const store::spool::Failures& failures) {
    return reports->failed(read, failures);
  };
  options.brake = [this](const store::Read& read, const store::spool::Failures& failures) {
    return reports->brake(read, failures);
  };
  options.notices = [this](const store::Read& read, const store::directory::Applied& applied,
                           std::string_view evidence) { return reports->notices(read, applied, evidence); };
  options.on_archive = [](const std::string& text) {
    log::event(Level::error, "archive", {{"reply", text}});
  };
  options.on_stop = [this](const std::string& why) { stop.request(why, 1); };
  auto opened = store::Store::open(std::move(options));
  if (!opened) return tl::unexpected(opened.error().text);
  store = std::move(*opened);
  clock.emplace(store->newest_at_open(), now(), std::chrono::steady_clock::now());
  return {};
}

tl::expected<void, std::string> Daemon::State::bind() {
  std::vector<int> passed = manager.take_sockets();
  auto bound = reception->bind(passed);
  for (const int fd : passed) {
    log::event(Level::warning, "refused",
               {{"listener", "descriptor " + std::to_string(fd)},
                {"reply", "a socket was passed to spoold that no [[listen]] names; it is closed"}});
    ::close(fd);
  }
  return bound;
}

tl::expected<void, std::string> Daemon::State::read_key_files() {
  const auto lines = [](const std::vector<conf::Problem>& problems) {
    std::string all;
    for (const conf::Problem& problem : problems) all.append(all.empty() ? "" : "\n").append(problem.text());
    return all;
  };
  auto keys = SigningKeys::read(*settings, file);
  if (!keys) return tl::unexpected(lines(keys.error()));
  signing_keys = *std::move(keys);
  for (const std::string& line : signing_keys->warnings())
    log::event(Level::warning, "dkim", {{"reply", line}});
  auto read = Certificates::read(*settings, file);
  if (!read) return tl::unexpected(lines(read.error()));
  certificates = *std::move(read);
  for (const std::string& line : certificates->warnings(now()))
    log::event(Level::warning, "certificate", {{"reply", line}});
  return {};
}

/// Something is due on these routes (none named: look at all of them). The store says so on its writer thread,
/// also while it is opened and before there are lanes: the loop runs only when everything is made.
void Daemon::State::wake(std::vector<std::string> due) {
  asio::post(receiving.context(0), [this, due = std::move(due)] { delivery->wake(due); });
}

/// What left a handler of a loop. A store that cannot be read is no place for a daemon that goes on: it would
/// answer some and silently lose what others had in hand.
void Daemon::State::thrown(const std::exception& what) {
  const auto* broken = dynamic_cast<const store::Broken*>(&what);
  if (broken && broken->ends_the_store()) return stop.request(what.what(), 1);
  log::event(Level::error, "bug", {{"reason", what.what()}});
}

int Daemon::run() {
  State& s = *state_;
  const log::Buffering buffering;
  s.stop.start();
  s.start();
  s.stop.wait();
  s.take_down();
  s.stop.over();
  log::event(Level::info, "stopped", {{"status", s.stop.status()}});
  return s.stop.status();
}

/// Everything is started before the loops run: so nothing here needs a lock, and a failure leaves nothing half
/// started behind.
void Daemon::State::start() {
  try {
    tell_of_the_crash();
    hold_what_crashed();
    reroute();
    delivery->start();
    reception->start();
    reporter->start();
    store_readers->start();
    asio::co_spawn(receiving.context(0), control->serve(), rethrow);
    sweep();
    digesting = std::make_unique<asio::thread_pool>(1);
    tick_digests();
    tell_alive();
    reloader.start();
  } catch (const std::exception& failed) {
    stop.request(std::string("spoold cannot start: ") + failed.what(), 1);
  }
  delivering.start();
  receiving.start();
  if (stop.status() != 0) return;
  log::event(Level::info, "ready",
             {{"hostname", settings->hostname},
              {"spool", settings->spool.path},
              {"listeners", settings->listen.size()},
              {"possible_duplicates", store->possible_duplicates()}});
  manager.ready();
}

/// By the loop that sessions run on: where it hangs, systemd ends the process and starts it anew.
void Daemon::State::tell_alive() {
  if (!manager.watchdog()) return;
  manager.alive();
  watchdog.expires_after(*manager.watchdog() / 2);
  watchdog.async_wait([this](const std::error_code& error) {
    if (!error) tell_alive();
  });
}

/// The promise about crashes: an upper bound of the copies that may arrive twice.
void Daemon::State::tell_of_the_crash() {
  if (const auto recipients = store->possible_duplicates())
    log::event(Level::warning, "indoubt",
               {{"recipients", recipients},
                {"reply",
                 "they may have been on the wire when spoold ended; they are tried again, and so may "
                 "get the message twice"}});
}

/// Before the lanes begin. A message that ended spoold twice within a day goes no further; its list does.
void Daemon::State::hold_what_crashed() {
  for (const crash::Note& note : crash::watch(settings->spool.path, now())) {
    const std::string qid = store::id_text(note.message);
    if (note.times < 2) {
      log::event(
          Level::error, "crashed",
          {{"qid", qid}, {"reply", "spoold crashed while it worked on this message; it is tried once more"}});
      continue;
    }
    store->whole(
        note.message, store::Whole::hold, "spoold (crashed)",
        [this, qid, id = note.message](const store::Result<std::vector<std::uint32_t>>& held) {
          using Kind = store::Error::Kind;
          if (held || held.error().kind == Kind::not_found || held.error().kind == Kind::conflict)
            crash::forget(settings->spool.path, id);
          if (held)
            log::event(
                Level::error, "held",
                {{"qid", qid}, {"reason", "crashed: spoold crashed twice while it worked on this message"}});
        });
  }
}

/// What was due on a route that the configuration does not give any more goes the way it names now.
void Daemon::State::reroute() {
  std::vector<store::spool::DueRoute> due;
  {
    const store::Read read(*store);
    due = store::spool::due_routes(read);
  }
  for (const store::spool::DueRoute& lost : due) {
    if (conf::is_route(*current.get(), lost.route)) continue;
    log::event(Level::warning, "rerouted", {{"relay", lost.route}});
    store->reroute(lost.route, {});  // on_due wakes the lanes of each slice
  }
}

/// On the main thread, so that no loop that is busy or blocked can hold it up. Each step ends what the next one
/// takes away.
void Daemon::State::take_down() {
  stopping = true;
  manager.stopping();
  operator_->stop();
  refuse_new_work();
  stop.stage("open transactions, deliveries and requests");
  finish_open_work();
  stop.stage("the reading of the configuration");
  reloader.stop();
  stop.stage("digests");
  if (digesting) digesting->join();
  stop.stage("the store's last commit: its disk does not answer");
  store->close();
  stop.stage("requests of spoolctl", true);
  control->join();
  stop.stage("the network threads", true);
  end_the_loops();
  stop.stage("the destruction of what has ended", true);
  control.reset();
  operator_.reset();
  reception.reset();
  reporter.reset();
  store_readers.reset();
  delivery.reset();
  store.reset();
}

void Daemon::State::refuse_new_work() {
  reception->stop();
  asio::post(receiving.context(0), [this] {
    reporter->stop();
    store_readers->stop();
    ticker.cancel();
    digest_ticker.cancel();
    control->close();
  });
  delivery->stop(settings->server.grace, [this] { delivery_stopped = true; });
}

/// Until all have left. At the end of the grace connections are closed and what remotes have answered is
/// settled; requests are not waited for any longer: the closing store answers them.
void Daemon::State::finish_open_work() {
  bool cut = false;
  const auto finished = [&] { return reception->idle() && delivery_stopped && (cut || control->idle()); };
  while (!finished() && !stop.given_up()) {
    if (!cut && stop.cut()) {
      cut = true;
      reception->cut_off();
      delivery->stop({}, [] {});  // cuts what is open
    }
    stop.pause();
  }
}

/// The store has answered everybody: sessions that waited for it get a moment to pass the answer on. What then
/// still waits in a loop, for whatever reason, is destroyed here, while all it refers to exists.
void Daemon::State::end_the_loops() {
  for (int i = 0; i < 100 && !(reception->idle() && control->idle()); ++i) stop.pause();
  reception->join();
  receiving.stop();
  delivering.stop();
  receiving.join();
  delivering.join();
  receiving.clear();
  delivering.clear();
}

/// What expires does so by age(). A digest that goes out too early is no loss, so digests go by the clock.
TimePoint Daemon::State::age() const {
  return clock->age(now(), std::chrono::steady_clock::now());
}

void Daemon::State::look_at_clock() {
  if (!clock->look(now(), std::chrono::steady_clock::now())) return;
  delivery->end_lifetimes(!clock->doubts());
  if (clock->doubts())
    log::event(Level::warning, "clock",
               {{"reply",
                 "the clock is more than a day later than spoold expected; nothing expires for an hour. "
                 "Is " +
                     rfc3339(now()) + " right?"}});
  else
    log::event(Level::info, "clock", {{"reply", "the clock is believed again: " + rfc3339(now())}});
}

/// A few at a time: each is a commit of its own, and 10,000 may expire together.
void Daemon::State::tick_held() {
  if (stopping) return;
  constexpr std::size_t at_once = 100;
  auto due = reports->held(*store, age(), at_once);
  auto left = std::make_shared<std::atomic<std::size_t>>(due.size());
  const bool more = due.size() >= at_once;
  for (store::Acceptance& one : due)
    store->accept(std::move(one), [this, left, more](const store::Result<store::Accepted>& done) {
      if (done) wake(done->routes);
      // What somebody has decided meanwhile is no fault.
      if (!done && done.error().kind != store::Error::Kind::conflict)
        log::event(Level::error, "moderation", {{"reply", done.error().text}});
      if (--*left == 0 && more && done) asio::post(receiving.context(0), [this] { tick_held(); });
    });
}

/// Each minute: which are due, and each of them, on the thread for it. What goes wrong is tried again at the next tick.
void Daemon::State::tick_digests() {
  if (stopping) return;
  look_at_clock();
  const auto made = [this](const store::Result<store::Accepted>& done) {
    if (done) return wake(done->routes);
    if (done.error().kind != store::Error::Kind::conflict)
      log::event(Level::error, "digest", {{"reply", done.error().text}});
  };
  asio::post(*digesting, [this, made] {
    try {
      for (const list::ListId list : due_digests(*store, now())) {
        if (stopping) return;
        if (auto digest = digest_of(*current.get(), *store, list, now()))
          store->accept(std::move(*digest), made);
      }
    } catch (const std::exception& what) {
      const auto* broken = dynamic_cast<const store::Broken*>(&what);
      if (broken && broken->ends_the_store()) return stop.request(what.what(), 1);
      log::event(Level::error, "digest", {{"reply", what.what()}});
    }
  });
  digest_ticker.expires_after(digests_every);
  digest_ticker.async_wait([this](const std::error_code& error) {
    if (!error) tick_digests();
  });
}

void Daemon::State::sweep() {
  if (stopping) return;
  look_at_clock();
  store->sweep(age(), [](const store::Result<void>&) {});
  store->tick_scores(age(), [](const store::Result<void>& done) {
    if (!done) log::event(Level::error, "bounce", {{"reply", done.error().text}});
  });
  tick_held();
  ticker.expires_after(sweep_every);
  ticker.async_wait([this](const std::error_code& error) {
    if (!error) sweep();
  });
}

}  // namespace spoold::server
