// The tls that the configuration asks for on a route: that of [relay] or of the [[domain]] that leads to it.
#pragma once
#include <optional>
#include <string>

#include "conf/settings.hpp"

namespace spoold::server {

/// Nothing: [delivery] tls decides. A [[destination]] goes before either.
std::optional<conf::Tls> tls_of_route(const conf::Settings& settings, const std::string& route);

}  // namespace spoold::server
