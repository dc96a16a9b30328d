// What a lane's connections are to ask of TLS and AUTH, from the configuration of its route.
#include <fstream>

#include "conf/load.hpp"
#include "server/delivery/lane.hpp"
#include "server/delivery/tls_of_route.hpp"

namespace spoold::server {

std::optional<conf::Tls> tls_of_route(const conf::Settings& settings, const std::string& route) {
  if (route == "relay") return settings.relay.tls;
  std::optional<conf::Tls> asked;
  for (const conf::RelayDomain& domain : settings.domains)
    if (domain.tls && conf::route_of(settings, domain.name) == route) asked = domain.tls;
  return asked;
}

OutboundSession::Security Lane::security(const conf::Destination* own) const {
  OutboundSession::Security security;
  security.client = tls_;
  delivery::TlsRules& rules = security.rules;
  rules.otherwise = settings_->delivery.tls;
  rules.configured = !way_.by_mx();
  if (way_.by_mx() && !route_.starts_with('[')) security.domain = route_;
  rules.credentials = route_ == "relay" && !settings_->relay.username.empty();
  rules.asked = tls_of_route(*settings_, route_);
  if (own != nullptr && own->tls) rules.asked = own->tls;
  return security;
}

// Read for each connection: who changes the password need not start anything anew.
std::shared_ptr<const smtp::Credentials> Lane::credentials() const {
  const conf::Relay& relay = settings_->relay;
  if (route_ != "relay" || relay.username.empty()) return nullptr;
  auto credentials = std::make_shared<smtp::Credentials>();
  credentials->username = relay.username;
  std::ifstream file(relay.password_file);
  std::getline(file, credentials->password);
  while (!credentials->password.empty() && credentials->password.back() == '\r')
    credentials->password.pop_back();
  if (credentials->password.empty())
    credentials->fault =
        "[relay] password_file " + relay.password_file + " holds no password that can be read";
  return credentials;
}

}  // namespace spoold::server
