// Is an address with its port one of our own listeners? An MX record that leads back to us is a loop (RFC
// 5321 5.1). Listeners on all addresses stand for those of all interfaces now.
#pragma once
#include <functional>

#include "conf/settings.hpp"
#include "protocol/dns/records.hpp"

namespace spoold::server {

std::function<bool(const dns::Address&, std::uint16_t port)> own_addresses(const conf::Settings&);

}  // namespace spoold::server
