// What an operator may ask of the running system: one JSON request in, one JSON answer out. The daemon
// executes requests of its control socket with its lanes; spoolctl executes the same requests itself when no
// daemon runs (NoLanes).
//
//   {"verb":"edit-recipients","id":"...","remove":["a@b"],"add":[],"replace":[{"old":"...","new":"..."}],"isolate":[],
//    "all_or_nothing":false,"dry_run":false}
//   {"verb":"hold"|"release"|"retry"|"remove"|"bounce","filter":{...},"dry_run":false}
//   {"verb":"resend","id":"...","addresses":[]}
//   {"verb":"edit-sender","id":"...","sender":"..."}
//   {"verb":"user-add"|"user-set"|"user-password"|"user-remove","user":"anne","addresses":[],"verifiers":{...}}
//   {"verb":"address-add"|"address-remove"|"address-set","address":"anne@home.example","addresses":[],"unverified":false,"settings":{}}
//   {"verb":"list-create"|"list-set"|"list-remove"|"member-add"|"member-remove"|"member-set"|"import"|"post"|"stats",...}
//
// Every answer has "ok", and "exit" (0 done, 1 could not be done, 2 wrong request, 3 nothing matched); a
// failure has "error", one sentence. What was changed is logged (event=edited) and written to the history
// with `who`. Guarantees: a request is data from a peer: whatever it holds, the answer is an answer.
// execute() blocks (edits wait for lanes, imports write in slices): call it on a thread of its own. Several
// may run at a time.
#pragma once
#include <atomic>
#include <functional>
#include <string>

#include "conf/settings.hpp"
#include "server/admin/json.hpp"
#include "server/admin/lanes.hpp"
#include "server/admin/scan.hpp"
#include "server/current.hpp"
#include "server/stats.hpp"
#include "store/store.hpp"

namespace spoold::server {

class Operator {
 public:
  /// The store, the lanes and `stats` must outlive it. `stats` nullptr: there is no daemon. A request with "dry_run" writes nothing, so a
  /// store that was opened read_only will do.
  Operator(store::Store& store, std::shared_ptr<const conf::Settings> settings, Lanes& lanes,
           const Stats* stats = nullptr)
      : store_(store), settings_(std::move(settings)), lanes_(lanes), stats_(stats) {}

  /// Any thread; of requests that begin from now on.
  void use(std::shared_ptr<const conf::Settings> settings) { settings_.set(std::move(settings)); }

  admin::Json execute(const admin::Json& request, const std::string& who);

  /// Any thread. Requests over many messages or recipients end with the one at hand.
  void stop() { stopping_ = true; }

  /// Called with a store that cannot be read (Broken::ends_the_store), besides the answer that says so.
  std::function<void(const std::string& why)> on_broken_store;
  admin::BetweenPages between_pages = admin::go_on;

 private:
  store::Store& store_;
  Current<conf::Settings> settings_;
  Lanes& lanes_;
  const Stats* stats_;
  std::atomic<bool> stopping_{false};
};

}  // namespace spoold::server
