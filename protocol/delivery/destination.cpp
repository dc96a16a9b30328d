#include "protocol/delivery/destination.hpp"

#include <algorithm>

#include "conf/values.hpp"
#include "protocol/mail/glob.hpp"

namespace spoold::delivery {
namespace {

/// The first row that fits, own ones before those that are built in.
const conf::Provider* provider_of(const conf::Settings& settings, std::string_view host) {
  const auto fits = [host](const conf::Provider& p) {
    return std::ranges::any_of(p.mx,
                               [host](const std::string& pattern) { return mail::glob(pattern, host); });
  };
  const auto in = [&fits](const std::vector<conf::Provider>& rows) -> const conf::Provider* {
    const auto found = std::ranges::find_if(rows, fits);
    return found == rows.end() ? nullptr : &*found;
  };
  const conf::Provider* own = settings.providers ? in(*settings.providers) : nullptr;
  return own ? own : in(conf::built_in_providers());
}

bool is_mx(const conf::Destination& d) {
  return d.match.starts_with("mx:");
}
bool is_network(const conf::Destination& d) {
  return d.match.find('/') != std::string::npos;
}
bool fits_mx(const conf::Destination& d, std::string_view host) {
  return is_mx(d) && mail::glob(std::string_view(d.match).substr(3), host);
}

template <class Matches>
const conf::Destination* first(const conf::Settings& settings, Matches matches) {
  const auto& all = settings.destinations;
  const auto found = std::find_if(all.begin(), all.end(), matches);
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

const conf::Destination* destination_of(const conf::Settings& settings, const Whereabouts& where) {
  const auto by_name = [&where](const conf::Destination& d) {
    return (!where.domain.empty() && d.match == where.domain) ||
           std::any_of(where.hops.begin(), where.hops.end(),
                       [&d](const conf::NextHop& hop) { return d.match == hop.host || d.match == hop.text; });
  };
  const auto by_mx = [&where](const conf::Destination& d) {
    return std::any_of(where.mx_hosts.begin(), where.mx_hosts.end(),
                       [&d](const std::string& host) { return fits_mx(d, host); });
  };
  const auto by_network = [&where](const conf::Destination& d) {
    if (!is_network(d)) return false;
    const auto network = conf::parse_network(d.match);
    return network && std::any_of(where.addresses.begin(), where.addresses.end(), [&](const dns::Address& a) {
             return a.v6 == network->v6 && conf::contains(*network, a.octets);
           });
  };
  if (settings.destinations.empty()) return nullptr;
  if (const auto* found = first(settings, by_name)) return found;
  if (const auto* found = first(settings, by_mx)) return found;
  return first(settings, by_network);
}

std::uint16_t port_of(const conf::Settings& settings, std::string_view domain, std::string_view host) {
  const conf::Destination* found =
      first(settings, [&](const conf::Destination& d) { return d.port && d.match == domain; });
  if (found == nullptr)
    found = first(settings, [&](const conf::Destination& d) { return d.port && fits_mx(d, host); });
  return found == nullptr ? std::uint16_t{25} : static_cast<std::uint16_t>(*found->port);
}

std::optional<GroupRules> group_of(const conf::Settings& settings, const Whereabouts& where) {
  if (where.mx_hosts.empty()) return std::nullopt;
  const conf::Destination* own = destination_of(settings, where);
  const int usual = settings.delivery.connections_per_destination;
  const auto at_least_one = [](int n) { return static_cast<std::uint32_t>(std::max(n, 1)); };
  GroupRules rules;
  rules.connections = at_least_one(own != nullptr && own->connections ? *own->connections : usual);
  rules.isolation_budget = static_cast<std::uint32_t>(settings.delivery.isolation_budget);
  rules.isolation_window = settings.delivery.isolation_window;
  if (own != nullptr && (is_mx(*own) || is_network(*own))) {
    rules.name = own->match;
    if (own->rate) {
      rules.rate = own->rate->count;
      rules.rate_per = own->rate->per;
    }
    return rules;
  }
  if (const conf::Provider* provider = provider_of(settings, where.mx_hosts.front())) {
    rules.name = provider->name;
    rules.connections = at_least_one(usual);
    if (provider->connections > 0) rules.connections = std::min(rules.connections, provider->connections);
    rules.messages = provider->messages;
    return rules;
  }
  if (where.mx_hosts.size() == 1 && where.mx_hosts.front() == where.domain) return std::nullopt;
  std::vector<std::string> hosts = where.mx_hosts;
  std::sort(hosts.begin(), hosts.end());
  hosts.erase(std::unique(hosts.begin(), hosts.end()), hosts.end());
  rules.name = "mx:";
  for (const std::string& host : hosts) rules.name += (rules.name.size() > 3 ? "," : "") + host;
  rules.same_hosts = true;
  return rules;
}

}  // namespace spoold::delivery
