#include "server/delivery/way.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "conf/load.hpp"
#include "protocol/mail/ascii.hpp"
#include "server/delivery/ip.hpp"
#include "server/delivery/own_addresses.hpp"

namespace spoold::server {
namespace {

constexpr Duration stale = std::chrono::hours(1);        // longer than its time to live, when DNS fails
constexpr Duration ask_again = std::chrono::seconds(5);  // after a temporary verdict, at the earliest
constexpr Duration tried_last = std::chrono::minutes(5);

/// "192.0.2.1", or the address of "[192.0.2.1]", "[ipv6:2001:db8::1]".
std::optional<asio::ip::address> literal(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) {
    text = text.substr(1, text.size() - 2);
    if (mail::starts_with(text, "ipv6:")) text.remove_prefix(5);
  }
  std::error_code error;
  const auto address = asio::ip::make_address(std::string(text), error);
  if (error) return std::nullopt;
  return address;
}

dns::Found found_at(const asio::ip::address& address, std::uint16_t port) {
  dns::Found found;
  dns::Host host;
  host.name = address.to_string();
  host.port = port;
  host.addresses.push_back(octets(address));
  found.hosts.push_back(std::move(host));
  found.ttl = Duration::max();
  return found;
}

dns::Found refused(bool final, smtp::EnhancedStatus status, std::string text) {
  dns::Found found;
  found.verdict = dns::Verdict{final, status, std::move(text)};
  found.ttl = std::chrono::minutes(1);
  return found;
}

}  // namespace

Way::Way(Resolver& resolver, asio::io_context& io, std::shared_ptr<const conf::Settings> settings,
         std::string route, std::function<void()> changed)
    : resolver_(resolver), io_(io), route_(std::move(route)), changed_(std::move(changed)) {
  set(std::move(settings));
}

Way::~Way() {
  *alive_ = false;
}

void Way::set(std::shared_ptr<const conf::Settings> settings) {
  settings_ = std::move(settings);
  hops_ = conf::next_hops_of(*settings_, route_);
  ++generation_;
  owed_ = 0;
  stops_.clear();
  known_ = false;
  until_ = stale_until_ = {};
  verdict_.reset();
  match();
}

Way::State Way::look(TimePoint now) {
  now_ = now;
  if (owed_ > 0) return State::asking;
  if (!known_ || now >= until_) begin();
  if (owed_ > 0) return State::asking;
  if (!verdict_) return State::ready;
  if (verdict_->final) return State::unreachable;
  return std::exchange(told_, true) ? State::resting : State::unreachable;
}

// ---- looking up

void Way::begin() {
  coming_.clear();
  owed_ = 1;  // till all are asked
  if (!hops_.empty()) {
    for (const conf::NextHop& hop : hops_) coming_.push_back({hop, {}});
  } else {
    coming_.emplace_back();
  }
  for (std::size_t i = 0; i < coming_.size(); ++i) {
    Stop& stop = coming_[i];
    if (stop.hop && !stop.hop->path.empty()) {
      stop.found.ttl = Duration::max();
      continue;
    }
    const std::string name = stop.hop ? stop.hop->host : route_;
    const auto address = literal(name);
    const std::uint16_t port = stop.hop ? stop.hop->port : std::uint16_t{25};
    if (address && stop.hop) {
      stop.found = found_at(*address, port);
    } else if (address) {
      const std::string text = address->to_string();
      const std::uint16_t its_port = delivery::port_of(*settings_, text, text);
      if (!dns::usable(octets(*address)))
        stop.found = refused(true, {5, 1, 2}, "DNS: " + name + " is no address that mail can be sent to");
      else if (own_addresses(*settings_)(octets(*address), its_port))
        stop.found = refused(true, {5, 4, 6},
                             "DNS: " + name + " is this server: mail for it would go round in circles");
      else
        stop.found = found_at(*address, its_port);
    } else if (!stop.hop && name.starts_with('[')) {
      stop.found = refused(true, {5, 1, 2}, "DNS: " + name + " is no address");
    } else if (!stop.hop && conf::route_of(*settings_, name) != name) {
      stop.found = refused(false, {4, 4, 4}, "DNS: no next hop is configured for the route " + name);
    } else {
      dns::Resolution::Options options;
      options.name = mail::lower(name);
      options.by_mx = !stop.hop;
      options.own_name = mail::lower(settings_->hostname);
      options.own_address = own_addresses(*settings_);
      options.port = [port, by_mx = options.by_mx, settings = settings_, name](const std::string& host) {
        return by_mx ? delivery::port_of(*settings, name, host) : port;
      };
      options.seed = std::random_device{}();
      ++owed_;
      ask(i, std::move(options));
    }
  }
  if (--owed_ == 0) conclude();
}

void Way::ask(std::size_t stop, dns::Resolution::Options options) {
  resolver_.resolve(std::move(options),
                    [this, alive = alive_, io = &io_, generation = generation_, stop](dns::Found found) {
                      asio::post(*io, [this, alive, generation, stop, found = std::move(found)]() mutable {
                        if (*alive && generation == generation_) take(stop, std::move(found));
                      });
                    });
}

void Way::take(std::size_t stop, dns::Found found) {
  coming_[stop].found = std::move(found);
  if (--owed_ > 0) return;
  conclude();
  changed_();
}

void Way::conclude() {
  std::optional<dns::Verdict> verdict;
  Duration ttl = Duration::max();
  bool any = false;
  for (const Stop& stop : coming_) {
    ttl = std::min(ttl, stop.found.ttl);
    if (!stop.found.verdict)
      any = true;
    else if (!verdict)
      verdict = stop.found.verdict;
  }
  const bool passes = verdict && !verdict->final && verdict->status.subject != 7;
  if (!any && passes && known_ && !verdict_ && now_ < stale_until_) {
    until_ = now_ + std::chrono::minutes(1);
    return;
  }
  known_ = true;
  told_ = false;
  stops_ = std::exchange(coming_, {});
  verdict_ = any ? std::nullopt : verdict;
  if (verdict_ && !verdict_->final) ttl = ask_again;
  until_ = ttl == Duration::max() ? TimePoint::max() : now_ + ttl;
  stale_until_ = until_ == TimePoint::max() ? until_ : until_ + stale;
  match();
}

void Way::match() {
  delivery::Whereabouts where;
  std::string domain;
  if (hops_.empty()) {
    const auto address = literal(route_);
    domain = address ? address->to_string() : route_;
    where.domain = domain;
  }
  where.hops = hops_;
  for (const Stop& stop : stops_)
    for (const dns::Host& host : stop.found.hosts) {
      if (!stop.hop) where.mx_hosts.push_back(host.name);
      where.addresses.insert(where.addresses.end(), host.addresses.begin(), host.addresses.end());
    }
  destination_ = delivery::destination_of(*settings_, where);
  group_ = delivery::group_of(*settings_, where);
}

// ---- what was found

LastReply Way::why() const {
  LastReply why;
  why.stage = Stage::dns;
  why.remote = route_;
  if (verdict_) {
    why.reply.text = verdict_->text;
    why.reply.enhanced = verdict_->status;
  }
  return why;
}

void Way::unreached(std::span<const Target> targets, TimePoint now) {
  std::erase_if(last_until_, [now](const auto& one) { return one.second <= now; });
  for (const Target& target : targets) last_until_[target.text] = now + tried_last;
}

std::vector<Target> Way::targets(std::uint64_t seed, std::uint32_t turn, TimePoint now) const {
  std::vector<asio::ip::address> sources[2];  // IPv4, IPv6
  for (const std::string& source : settings_->delivery.source) {
    const auto address = asio::ip::make_address(source);
    sources[address.is_v6() ? 1 : 0].push_back(address);
  }
  std::vector<Target> all;
  for (const Stop& stop : stops_) {
    if (stop.hop && !stop.hop->path.empty()) {
      Target target;
      target.endpoint = asio::local::stream_protocol::endpoint(stop.hop->path);
      target.text = "unix:" + stop.hop->path;
      all.push_back(std::move(target));
      continue;
    }
    for (const dns::Place& place : dns::in_order(stop.found, seed)) {
      Target target;
      const auto& from = sources[place.address.v6 ? 1 : 0];
      if (!from.empty())
        target.source = from[turn % from.size()];
      else if (!settings_->delivery.source.empty())
        continue;
      const dns::Host& host = *place.host;
      const auto address = ip(place.address);
      target.endpoint = asio::ip::tcp::endpoint(address, host.port);
      target.host = host.name;
      target.text = host.name + "[" + address.to_string() + "]:" + std::to_string(host.port);
      target.secure = host.secure;
      target.tlsa = host.tlsa;
      target.tlsa_base = host.tlsa_base;
      target.implicit_tls = stop.hop && stop.hop->implicit_tls;
      all.push_back(std::move(target));
    }
  }
  std::stable_partition(all.begin(), all.end(), [&](const Target& target) {
    const auto found = last_until_.find(target.text);
    return found == last_until_.end() || found->second <= now;
  });
  return all;
}

}  // namespace spoold::server
