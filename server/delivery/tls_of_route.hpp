// What the configuration says of a route's connections: TLS, the domain that mail is for, a password.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "conf/settings.hpp"
#include "protocol/delivery/tls_policy.hpp"
#include "protocol/smtp/opening.hpp"

namespace spoold::server {

/// The tls that the configuration asks for on a route: that of [relay] or of the [[domain]] that leads to it.
/// Nothing: [delivery] tls decides. A [[destination]] goes before either.
std::optional<conf::Tls> tls_of_route(const conf::Settings& settings, const std::string& route);

/// `own`: the [[destination]] of its hosts, or null.
delivery::TlsRules tls_rules(const conf::Settings& settings, const std::string& route, bool by_mx,
                             const conf::Destination* own);

/// The domain whose MX hosts are asked; empty: the next hop is configured, or an address literal.
std::string mx_domain(const std::string& route, bool by_mx);

/// Null: no AUTH on this route. The password is read for each connection, so that whoever changes it need not
/// start spoold again.
std::shared_ptr<const smtp::Credentials> credentials_of(const conf::Settings& settings,
                                                        const std::string& route);

}  // namespace spoold::server
