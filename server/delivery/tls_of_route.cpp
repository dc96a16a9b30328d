#include "server/delivery/tls_of_route.hpp"

#include <fstream>

#include "conf/load.hpp"
#include "protocol/mail/saslprep.hpp"

namespace spoold::server {

std::optional<conf::Tls> tls_of_route(const conf::Settings& settings, const std::string& route) {
  if (route == "relay") return settings.relay.tls;
  std::optional<conf::Tls> asked;
  for (const conf::RelayDomain& domain : settings.domains)
    if (domain.tls && conf::route_of(settings, domain.name) == route) asked = domain.tls;
  return asked;
}

delivery::TlsRules tls_rules(const conf::Settings& settings, const std::string& route, bool by_mx,
                             const conf::Destination* own) {
  delivery::TlsRules rules;
  rules.otherwise = settings.delivery.tls;
  rules.configured = !by_mx;
  rules.credentials = route == "relay" && !settings.relay.username.empty();
  rules.asked = tls_of_route(settings, route);
  if (own != nullptr && own->tls) rules.asked = own->tls;
  return rules;
}

std::string mx_domain(const std::string& route, bool by_mx) {
  return by_mx && !route.starts_with('[') ? route : std::string();
}

std::shared_ptr<const smtp::Credentials> credentials_of(const conf::Settings& settings,
                                                        const std::string& route) {
  const conf::Relay& relay = settings.relay;
  if (route != "relay" || relay.username.empty()) return nullptr;
  auto credentials = std::make_shared<smtp::Credentials>();
  credentials->username = relay.username;
  std::ifstream file(relay.password_file);
  std::getline(file, credentials->password);
  while (!credentials->password.empty() && credentials->password.back() == '\r')
    credentials->password.pop_back();
  // RFC 4616 section 2; one that is no UTF-8 is sent as it is, as the other side may have been told it so.
  if (auto prepared = mail::saslprep(credentials->password, mail::Prepared::to_compare))
    credentials->password = *std::move(prepared);
  if (credentials->password.empty())
    credentials->fault =
        "[relay] password_file " + relay.password_file + " holds no password that can be read";
  return credentials;
}

}  // namespace spoold::server
