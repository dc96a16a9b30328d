// Which mail is signed with our keys ([[dkim]]), decided when it is accepted. The signatures are made when it goes out
// (server/delivery/signing.hpp); a message that is to be signed has a blank for them in front of all it has.
//
//   list mail (posts, probes, warnings, notices)     by the keys of the list's domain
//   a post of a user or a trusted network            also by those of the domain in From, where the copy has that From
//   reports of ours                                  by the keys of hostname (report.hpp)
//   what a user submits, or a trusted network relays by the keys of the domain in From
//   anything else                                    never: whoever sends it may have written any From
#pragma once
#include <string_view>

#include "conf/settings.hpp"
#include "store/spool/acceptance.hpp"

namespace spoold::server {

/// There is a [[dkim]] of the domain.
bool has_keys(const conf::Settings& settings, std::string_view domain);

/// Only where one of the domains has keys. `message`: with its head and body as they go out. `author`: the domain of its From,
/// where that signs too; empty: it does not. `instance`: of dkim2.hpp: the copies have DKIM2 signatures too; empty: they have not.
void place_signatures(const conf::Settings& settings, std::string_view domain, store::NewMessage& message,
                      std::string_view author = {}, std::string instance = {});

}  // namespace spoold::server
