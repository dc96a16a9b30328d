// libunbound as this program uses it: which resolvers it asks, what it trusts, and its answers as protocol/dns knows them.
// Shared by the daemon's resolver (server/delivery/resolver) and by spoolctl's verbs that judge (server/auth/asker).
#pragma once
#include <string>

#include "conf/settings.hpp"
#include "protocol/dns/records.hpp"

struct ub_ctx;
struct ub_result;

namespace spoold::server::unbound {

/// Sets every option, before the first question: libunbound takes none afterwards. `resolv_conf` is read where the settings
/// name no forwarders. Empty, or what cannot be set up.
std::string set_up(ub_ctx* context, const conf::Resolver& settings,
                   const std::string& resolv_conf = "/etc/resolv.conf");
/// `error` of libunbound, or the result.
dns::Answer answer_of(int error, const ub_result* result);
/// The name of a question as libunbound reads it: what is no letter, digit, hyphen or underscore is escaped.
std::string name_text(const std::string& name);

}  // namespace spoold::server::unbound
