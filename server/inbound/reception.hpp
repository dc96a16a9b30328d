// Receiving mail: the listeners, what their sessions share, connection limits, and the graceful stop.
//
//   Reception reception(rules, store, threads, stats, wake);
//   if (auto bound = reception.bind(passed); !bound) ...      // before privileges are dropped
//   reception.start();                                  // accepts; sessions go to the least loaded thread
//   reception.stop();  ... while (!reception.idle()) ...  reception.cut_off();
//
// Guarantees: bind() binds all listeners or none. stop() accepts no more, answers 421 4.3.2 to sessions
// without an open transaction, and to the others after it. A session keeps the Rules that it began with; use()
// changes those of later ones. Any thread may call stop(), idle(), cut_off() and use().
// Failures: bind() answers with one sentence that names the listener. Running out of descriptors pauses
// accepting. See also: session.hpp, office/acceptance.hpp, protocol/smtp/server_dialog.hpp.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "conf/settings.hpp"
#include "server/current.hpp"
#include "server/delivery/resolver.hpp"
#include "server/inbound/blocklists.hpp"
#include "server/inbound/census.hpp"
#include "server/inbound/content.hpp"
#include "server/inbound/greylist.hpp"
#include "server/inbound/password_line.hpp"
#include "server/inbound/peer.hpp"
#include "server/inbound/penalties.hpp"
#include "server/inbound/rates.hpp"
#include "server/inbound/rules.hpp"
#include "server/office/request_pace.hpp"
#include "server/stats.hpp"
#include "server/threads.hpp"
#include "server/work_line.hpp"
#include "store/store.hpp"

namespace spoold::server {

class Listener;

class Reception {
 public:
  /// `wake` is told the routes that have something due now, on any network thread.
  using Wake = std::function<void(const std::vector<std::string>& routes)>;
  Reception(std::shared_ptr<const Rules> rules, store::Store& store, Threads& threads, Stats& stats,
            Wake wake);
  ~Reception();
  Reception(const Reception&) = delete;
  Reception& operator=(const Reception&) = delete;

  /// `passed`: sockets that listen already; those that are no listener's are left in it.
  tl::expected<void, std::string> bind(std::vector<int>& passed);
  void start();
  void stop();
  bool idle() const { return census.size() == 0; }
  void cut_off();  // closes the connections that are left
  void join();     // no password and no signature is looked at any more; before the loops end
  void hurry();    // strangers that keep a place and send nothing have little time from now on

  /// Of sessions that begin from now on. Listeners stay those that bind() has bound.
  void use(std::shared_ptr<const Rules> rules);
  std::shared_ptr<const Rules> rules() const { return rules_.get(); }
  /// Port of the n-th [[listen]]: what the system chose when the configuration says 0.
  std::uint16_t port(std::size_t n) const;

  // What sessions use.
  store::Store& store;
  Stats& stats;
  const Wake wake;
  Census census;
  Penalties penalties;
  Rates rates;
  Greylist greylist;
  RequestPace pace;
  std::unique_ptr<PasswordLine> passwords;  // of sessions whose listener is for submission
  std::unique_ptr<WorkLine> proofs;         // of sessions that verify signatures, also our own in bounces
  const Content::Memory memory = std::make_shared<ContentMemory>();

 private:
  Threads& threads_;
  void make_lines(const conf::Settings& settings);

  Current<Rules> rules_;
  std::vector<std::shared_ptr<Listener>> listeners_;

 public:
  // The last: what waits for them uses the rest.
  Resolver resolver;
  Blocklists blocklists;
};

}  // namespace spoold::server
