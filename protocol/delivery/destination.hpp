// Which [[destination]] applies to a route, and to which group (provider) it belongs: many domains have their
// mail with one provider, whose limits count for all of them together (README.md, Groups). Pure functions.
//
// Guarantees: a group is known by its name alone; every route by MX has one, unless it is its own MX host.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.hpp"
#include "protocol/delivery/group.hpp"
#include "protocol/dns/records.hpp"

namespace spoold::delivery {

/// Where a route leads, as far as it is known.
struct Whereabouts {
  std::string_view domain;            // by MX: the domain, or an address literal's address; else empty
  std::vector<conf::NextHop> hops;    // configured next hops
  std::vector<std::string> mx_hosts;  // by preference
  std::vector<dns::Address> addresses;
};

/// By domain or next hop, else by MX host, else by network; the first one in the file. Null: none.
const conf::Destination* destination_of(const conf::Settings&, const Whereabouts&);

/// The port of an MX host or address literal: 25, or what a [[destination]] says.
std::uint16_t port_of(const conf::Settings&, std::string_view domain, std::string_view host);

/// That of the pattern or network that applies; else the shipped table's, by the best MX host; else that of
/// all routes with these MX hosts ("mx:mx1.example.net,mx2.example.net"). A route without MX records, or with
/// a configured next hop, is on its own.
std::optional<GroupRules> group_of(const conf::Settings&, const Whereabouts&);

}  // namespace spoold::delivery
