#include "server/inbound/rules.hpp"

#include "server/office/requests.hpp"
#include "server/office/rule_book.hpp"

namespace spoold::server {

tl::expected<std::shared_ptr<const Rules>, std::string> make_rules(
    std::shared_ptr<const conf::Settings> settings, list::Hmac hmac,
    const std::shared_ptr<const Certificates>& certificates, std::shared_ptr<const SigningKeys> keys) {
  if (auto fault = templates_fault(*settings)) return tl::unexpected(*std::move(fault));
  if (auto fault = bans_fault(*settings)) return tl::unexpected(*std::move(fault));
  std::vector<std::shared_ptr<const TlsServer>> tls;
  for (const conf::Listen& listen : settings->listen) {
    tls.emplace_back();
    if (listen.tls == conf::Listen::Tls::none) continue;
    auto made = TlsServer::make(certificates);
    if (!made) return tl::unexpected("TLS of the listener " + listen.text + ": " + made.error());
    tls.back() = *std::move(made);
  }
  return std::make_shared<const Rules>(std::move(settings), std::move(hmac), std::move(tls), std::move(keys));
}

}  // namespace spoold::server
