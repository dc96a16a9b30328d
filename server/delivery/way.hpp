// The way of one lane: from its route to the addresses that its connections are made to. A configured next
// hop (or several), an address literal, or a domain by MX; names by the Resolver.
//
// Guarantees: an answer of DNS is used for its time to live (1 min to 1 h), then the names are looked up again.
// While that lookup fails temporarily, the old answer is used for one hour more; never after "no such domain" or
// a bad signature. A way without names needs no lookup. All calls are made on the lane's thread.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/delivery/destination.hpp"
#include "protocol/delivery/outcome.hpp"
#include "server/delivery/resolver.hpp"
#include "server/delivery/target.hpp"

namespace spoold::server {

class Way {
 public:
  /// `changed` is called on `io` when a lookup was answered.
  Way(Resolver& resolver, asio::io_context& io, std::shared_ptr<const conf::Settings> settings,
      std::string route, std::function<void()> changed);
  ~Way();

  /// asking: `changed` will be called. unreachable: see why() and final(). A temporary failure is reported as
  /// unreachable once; then the way is resting, and looks the names up again some seconds later.
  enum class State : std::uint8_t { ready, asking, resting, unreachable };
  State look(TimePoint now);
  LastReply why() const;
  bool final() const { return verdict_ && verdict_->final; }

  /// In the order in which one connection tries them; `turn` chooses the source address. Empty: no source address
  /// is of the family of any target.
  std::vector<Target> targets(std::uint64_t seed, std::uint32_t turn, TimePoint now) const;
  /// By MX: does each host that takes mail for the domain have one of these targets?
  bool all_hosts_in(std::span<const Target> targets) const;
  /// These targets could not be reached while another one could: for some minutes they are tried last, so that
  /// not every connection waits for them first.
  void unreached(std::span<const Target> targets, TimePoint now);

  bool lmtp() const { return !hops_.empty() && hops_.front().protocol == conf::NextHop::Protocol::lmtp; }
  bool by_mx() const { return hops_.empty(); }
  const conf::Destination* destination() const { return destination_; }
  const std::optional<delivery::GroupRules>& group() const { return group_; }

 private:
  struct Stop {
    std::optional<conf::NextHop> hop;
    dns::Found found;  // empty: a unix socket
  };
  void begin();
  void ask(std::size_t stop, dns::Resolution::Options options);
  void take(std::size_t stop, dns::Found found);
  void conclude();
  void match();
  bool may_want_tlsa() const;
  bool configured(const asio::ip::address& address, std::string_view text) const;

  Resolver& resolver_;
  asio::io_context& io_;
  const std::shared_ptr<const conf::Settings> settings_;
  const std::string route_;
  std::function<void()> changed_;
  const std::vector<conf::NextHop> hops_;

  std::vector<Stop> stops_, coming_;
  std::size_t owed_ = 0;
  bool known_ = false, told_ = false;
  TimePoint now_{}, until_{}, stale_until_{};
  std::optional<dns::Verdict> verdict_;
  std::map<std::string, TimePoint> last_until_;     // unreached targets, by their text
  const conf::Destination* destination_ = nullptr;  // of *settings_
  std::optional<delivery::GroupRules> group_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace spoold::server
