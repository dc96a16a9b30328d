#include <algorithm>

#include "conf/addresses.hpp"
#include "conf/load.hpp"
#include "conf/routes.hpp"

namespace spoold::conf {
namespace {

// route_to(hops) == route, without making it: there may be thousands of domains.
bool leads(const std::vector<NextHop>& hops, std::string_view route) {
  for (const NextHop& hop : hops) {
    if (&hop != &hops.front()) {
      if (!route.starts_with(',')) return false;
      route.remove_prefix(1);
    }
    if (!route.starts_with(hop.text)) return false;
    route.remove_prefix(hop.text.size());
  }
  return route.empty() && !hops.empty();
}

}  // namespace

std::string route_to(const std::vector<NextHop>& hops) {
  std::string out;
  for (const NextHop& hop : hops) out += (out.empty() ? "" : ",") + hop.text;
  return out;
}

std::string route_of(const Settings& settings, std::string_view domain) {
  for (const RelayDomain& relayed : settings.domains)
    if (!relayed.deliver_to.empty() && same(relayed.name, domain)) return route_to(relayed.deliver_to);
  if (!settings.relay.smarthost.empty() || domain.empty()) return "relay";
  return lower(domain);
}

Routes::Routes(const Settings& settings) : smarthost_(!settings.relay.smarthost.empty()) {
  for (const RelayDomain& relayed : settings.domains) {
    std::string& route = domains_[lower(relayed.name)];
    if (route.empty()) route = route_to(relayed.deliver_to);
  }
}

std::string Routes::of(std::string_view domain) const {
  std::string name = lower(domain);
  if (const auto found = domains_.find(name); found != domains_.end() && !found->second.empty())
    return found->second;
  return smarthost_ || domain.empty() ? "relay" : name;
}

bool Routes::relays(std::string_view domain) const {
  return domains_.contains(lower(domain));
}

std::vector<NextHop> next_hops_of(const Settings& settings, std::string_view route) {
  if (route == "relay") return settings.relay.smarthost;
  for (const RelayDomain& relayed : settings.domains)
    if (leads(relayed.deliver_to, route)) return relayed.deliver_to;
  return {};
}

bool is_route(const Settings& settings, std::string_view route) {
  if (!next_hops_of(settings, route).empty()) return true;
  return (is_domain(route) || route.starts_with('[')) && route_of(settings, route) == route;
}

std::string route_text(const Settings& settings, std::string_view route) {
  const auto hops = next_hops_of(settings, route);
  return hops.empty() ? std::string(route) : route_to(hops);
}

}  // namespace spoold::conf
