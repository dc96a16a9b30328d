// The [[domain]]s of one Settings by name: route_of() for code that asks for each recipient's domain, where a
// walk through thousands of [[domain]]s would cost more than the recipient.
//
// Guarantees: of() equals conf::route_of() of the Settings that it was made from; nothing of them is kept. Any
// thread. See also: load.hpp (what a route is).
#pragma once
#include <string>
#include <string_view>
#include <unordered_map>

#include "conf/settings.hpp"

namespace spoold::conf {

class Routes {
 public:
  explicit Routes(const Settings& settings);

  std::string of(std::string_view domain) const;
  /// The domain has a [[domain]] of its own.
  bool relays(std::string_view domain) const;

 private:
  std::unordered_map<std::string, std::string> domains_;  // in lower case: route; empty: the default way
  bool smarthost_;
};

}  // namespace spoold::conf
