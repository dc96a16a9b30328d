// Delivery as the daemon sees it: the lanes of all routes, each on the network thread that its name hashes
// to. Guarantees: wake() and Lanes may be called from any thread; stop() calls back when every lane has ended
// its open transactions and settled, or cut them after the grace and settled. See also: lane.hpp; the flow of
// a message: server/README.md.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "server/admin/lanes.hpp"
#include "server/current.hpp"
#include "server/delivery/lane_set.hpp"

namespace spoold::server {

class Delivery final : public Lanes {
 public:
  /// `hmac`: verp_key.hpp. Everything given must outlive the Delivery; it must be destroyed with no thread in
  /// the contexts.
  Delivery(std::vector<asio::io_context*> contexts, store::Store& store,
           const std::shared_ptr<const conf::Settings>& settings, list::Hmac hmac, Stats& stats);
  ~Delivery() override;

  /// What it needs of the system, with the rights that the process keeps: the TLS context with ca_file. Before
  /// start(), and before the threads run.
  tl::expected<void, std::string> open();
  /// Any thread, from start() on. Lanes of the old settings end their open transactions and settle; then lanes of the
  /// new ones go on.
  void use(const std::shared_ptr<const conf::Settings>& settings);
  /// Any thread. Of new connections.
  void use(const std::shared_ptr<const TlsContext>& context);
  /// Any thread. Of what is signed from now on; before the first call nothing is.
  void use(std::shared_ptr<const SigningKeys> keys);
  /// A lane for every route with something due, now or later.
  /// False: lifetimes end no more, as the clock is doubted. Any thread; from the next turn of each lane on.
  void end_lifetimes(bool on);
  void start();
  /// `stopped` runs once, on a network thread. A second call cuts what is open. From the first call on
  /// destinations() and withdraw() are answered at once (none; idle: the store decides): nobody waits for a loop
  /// that ends.
  void stop(Duration grace, std::function<void()> stopped);

  // Lanes
  void withdraw(store::Id message, std::vector<std::uint32_t> numbers, Withdrawn done) override;
  void give_back(store::Id message, std::vector<std::uint32_t> numbers) override;
  void wake(const std::vector<std::string>& routes) override;
  void retry_now(store::Id message) override;
  void wake_hosts(const std::vector<std::string>& routes) override;
  void destinations(Destinations done) override;

 private:
  LaneSet& set_of(const std::string& route);
  void call(const std::string& route);
  void wake_one(const std::string& route);
  void wake_all();
  /// On the thread of each.
  void each_set(const std::function<void(LaneSet&)>& act);

  /// False: connections that outlive this call nobody.
  const std::shared_ptr<std::atomic<bool>> calls_ = std::make_shared<std::atomic<bool>>(true);
  Current<conf::Settings> settings_;
  Resolver resolver_;
  DeliveryContext context_;
  asio::steady_timer again_;
  std::vector<std::unique_ptr<LaneSet>> sets_;
  std::atomic<bool> stopping_{false};
};

}  // namespace spoold::server
