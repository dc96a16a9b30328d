#include "conf/load.hpp"

namespace spoold::conf {

std::string route_of(const Settings& settings, std::string_view domain) {
  for (const RelayDomain& relayed : settings.domains)
    if (relayed.name == domain && relayed.deliver_to) return relayed.deliver_to->text;
  return "relay";
}

std::optional<NextHop> next_hop_of(const Settings& settings, std::string_view route) {
  if (route == "relay") return settings.relay.smarthost;
  for (const RelayDomain& relayed : settings.domains)
    if (relayed.deliver_to && relayed.deliver_to->text == route) return relayed.deliver_to;
  return std::nullopt;
}

}  // namespace spoold::conf
