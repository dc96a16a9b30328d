// How spoolctl reaches a store: reads go to it directly, also when the daemon is down or stuck; changes go
// through the daemon's control socket when a daemon runs, else spoolctl takes the store's lock and does the
// same with the same code. As root it becomes the store's owner before it opens anything there. It never
// creates a store.
#pragma once
#include <memory>
#include <string>

#include "conf/settings.hpp"
#include "server/admin/json.hpp"
#include "server/spoolctl/control_client.hpp"
#include "store/backup.hpp"
#include "store/store.hpp"

namespace spoold::server::admin {

/// The person at the keyboard, for the audit trail: the user, or who became root by sudo.
std::string person();

/// While it lives the process has the ids again that it was started with; it gave them up to become a store's owner.
class OwnIds {
 public:
  OwnIds();
  ~OwnIds();
  OwnIds(const OwnIds&) = delete;
  OwnIds& operator=(const OwnIds&) = delete;

 private:
  unsigned uid_, gid_;
};

class Access {
 public:
  explicit Access(conf::Settings settings)
      : settings_(std::make_shared<const conf::Settings>(std::move(settings))) {}

  const conf::Settings& settings() const { return *settings_; }
  /// The store, read only; opened at the first call.
  store::Result<store::Store*> store();
  /// Executes a changing request (operator.hpp), here or there. A "dry_run" is executed here and needs no
  /// lock.
  Json change(Json request);
  /// store/backup.hpp, as the store's owner.
  store::Result<store::CompactFigures> compact(bool dry_run);
  /// Asks the daemon, and nobody else.
  Json ask_daemon(const Json& request);

 private:
  store::Options options(store::Options::Open) const;
  Json execute_here(store::Store&, const Json& request);
  tl::expected<ControlClient, ControlClient::Failure> connect() const;
  std::string socket_path() const;
  std::string silent_daemon(const std::string& why) const;

  const std::shared_ptr<const conf::Settings> settings_;
  std::unique_ptr<store::Store> store_;
};

}  // namespace spoold::server::admin
