#include "server/delivery/way.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "conf/load.hpp"
#include "protocol/mail/ascii.hpp"
#include "server/delivery/ip.hpp"
#include "server/delivery/own_addresses.hpp"
#include "server/delivery/tls_of_route.hpp"

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

/// Loopback, private (RFC 1918, RFC 4193), link-local and shared (RFC 6598) addresses: what a stranger's
/// address literal must not make this server connect to.
bool is_internal(const asio::ip::address& address) {
  const auto four = [](const asio::ip::address_v4& v4) {
    const auto at = v4.to_bytes();
    return at[0] == 127 || at[0] == 10 || (at[0] == 172 && (at[1] & 0xf0) == 16) ||
           (at[0] == 192 && at[1] == 168) || (at[0] == 169 && at[1] == 254) ||
           (at[0] == 100 && (at[1] & 0xc0) == 64);
  };
  if (address.is_v4()) return four(address.to_v4());
  const asio::ip::address_v6 v6 = address.to_v6();
  if (v6.is_v4_mapped()) return four(asio::ip::make_address_v4(asio::ip::v4_mapped, v6));
  return v6.is_loopback() || v6.is_link_local() || (v6.to_bytes()[0] & 0xfe) == 0xfc;
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
    : resolver_(resolver),
      io_(io),
      settings_(std::move(settings)),
      route_(std::move(route)),
      changed_(std::move(changed)),
      hops_(conf::next_hops_of(*settings_, route_)) {
  match();
}

Way::~Way() {
  *alive_ = false;
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
      else if (is_internal(*address) && !configured(*address, text))
        stop.found = refused(true, {5, 1, 2},
                             "DNS: " + name +
                                 " is an address of an internal network: mail is sent to it only where a "
                                 "[[destination]] matches it");
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
      options.tlsa = may_want_tlsa();
      options.seed = std::random_device{}();
      ++owed_;
      ask(i, std::move(options));
    }
  }
  if (--owed_ == 0) conclude();
}

void Way::ask(std::size_t stop, dns::Resolution::Options options) {
  resolver_.resolve(std::move(options), [this, alive = alive_, io = &io_, stop](dns::Found found) {
    asio::post(*io, [this, alive, stop, found = std::move(found)]() mutable {
      if (*alive) take(stop, std::move(found));
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

/// The operator's word that mail may go to an internal address.
bool Way::configured(const asio::ip::address& address, std::string_view text) const {
  delivery::Whereabouts where;
  where.domain = text;
  where.addresses.push_back(octets(address));
  return delivery::destination_of(*settings_, where) != nullptr;
}

// Name servers that fail for TLSA make a host unreachable, so that nobody can hide the records (RFC 7672 2.1.2).
// Where no policy that could apply here uses the records, this would only lose a way.
bool Way::may_want_tlsa() const {
  const auto uses = [](conf::Tls tls) { return tls == conf::Tls::opportunistic || tls == conf::Tls::dane; };
  delivery::Whereabouts named;  // which MX hosts and addresses there are is not known yet
  if (hops_.empty()) named.domain = route_;
  named.hops = hops_;
  const conf::Destination* own = delivery::destination_of(*settings_, named);
  if (own != nullptr)
    return uses(own->tls.value_or(tls_of_route(*settings_, route_).value_or(settings_->delivery.tls)));
  for (const conf::Destination& one : settings_->destinations)
    if (one.tls && uses(*one.tls)) return true;
  return uses(tls_of_route(*settings_, route_).value_or(settings_->delivery.tls));
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

bool Way::all_hosts_in(std::span<const Target> targets) const {
  if (!by_mx() || stops_.size() != 1 || !stops_.front().found.whole) return false;
  return std::ranges::all_of(stops_.front().found.hosts, [targets](const dns::Host& host) {
    return std::ranges::find(targets, host.name, &Target::host) != targets.end();
  });
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
