// SIGHUP: the configuration and the files that it names are read again, as a whole or not at all.
#include "conf/load.hpp"
#include "server/daemon_state.hpp"
#include "server/log.hpp"

namespace spoold::server {

using log::Level;

namespace {

void tell(Level level, const std::string& what) {
  log::event(level, "reload", {{"reply", what}});
}

void tell(const std::vector<conf::Problem>& problems) {
  constexpr std::size_t most = 20;
  for (std::size_t i = 0; i < std::min(problems.size(), most); ++i) tell(Level::error, problems[i].text());
  if (problems.size() > most)
    tell(Level::error, "and " + std::to_string(problems.size() - most) + " more: see spoold --check");
}

/// Lanes are made of these.
bool same_for_lanes(const conf::Settings& one, const conf::Settings& other) {
  return one.hostname == other.hostname && one.domains == other.domains && one.relay == other.relay &&
         one.delivery == other.delivery && one.destinations == other.destinations &&
         // The files that these are read from may say something else than before.
         !one.replies && !other.replies && !one.providers && !other.providers;
}

}  // namespace

// On the reloader's thread.
void Daemon::State::reload() {
  if (stopping) return;
  manager.reloading();
  if (read_again())
    tell(Level::info, "the configuration was read again");
  else
    tell(Level::error, "nothing was changed: spoold goes on with what it has");
  manager.ready();
}

// All that can fail comes first. What has begun (sessions, requests, transactions of lanes) ends on the settings that it
// began with; what begins from now on has the new ones.
bool Daemon::State::read_again() {
  auto loaded = conf::load(file);
  if (!loaded) {
    tell(loaded.error());
    return false;
  }
  const auto old = current.get();
  const std::vector<std::string> fixed = conf::keep_fixed(*loaded, *old);
  const auto next = std::make_shared<const conf::Settings>(std::move(*loaded));
  auto read = Certificates::read(*next, file);
  if (!read) {
    tell(read.error());
    return false;
  }
  auto keys = SigningKeys::read(*next, file);
  if (!keys) {
    tell(keys.error());
    return false;
  }
  auto rules = make_rules(next, hmac, *read, *keys);
  if (!rules) {
    tell(Level::error, rules.error());
    return false;
  }
  const bool other_authorities = !next->delivery.ca_file.empty() || !old->delivery.ca_file.empty();
  std::shared_ptr<const TlsContext> context;
  if (other_authorities) {
    auto made = TlsContext::make(next->delivery.ca_file);
    if (!made) {
      tell(Level::error, made.error());
      return false;
    }
    context = *std::move(made);
  }

  log::configure(next->log);
  current.set(next);
  routes.set(std::make_shared<const conf::Routes>(*next));
  reports->use(std::shared_ptr<const AddressBook>(*rules, &(*rules)->addresses));
  reception->use(*rules);
  operator_->use(next);
  if (context) delivery->use(std::move(context));
  delivery->use(*keys);
  if (!same_for_lanes(*old, *next)) {
    delivery->use(next);
    reroute();
  }

  for (const std::string& key : fixed) tell(Level::warning, key + ": what changed there waits for a restart");
  for (const std::string& line : conf::review(*next))
    if (line.starts_with("warning: ")) tell(Level::warning, line.substr(9));
  for (const std::string& line : (*keys)->warnings()) log::event(Level::warning, "dkim", {{"reply", line}});
  for (const std::string& line : (*read)->warnings(store->now()))
    log::event(Level::warning, "certificate", {{"reply", line}});
  return true;
}

}  // namespace spoold::server
