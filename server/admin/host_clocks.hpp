// Which next hops wait for a better time (the host's clock, not the recipients': isolation.md I2), as the
// store knows it, so that `show` and `queue` can say why a recipient without any reply of its own does not
// move.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "conf/settings.hpp"
#include "server/admin/json.hpp"
#include "store/spool/types.hpp"
#include "store/store.hpp"

namespace spoold::server::admin {

class HostClocks {
 public:
  HostClocks(const store::Store& store, const conf::Settings& settings, TimePoint now)
      : store_(store), settings_(settings), now_(now) {}

  /// Of the next hop of this recipient; null: it does not wait.
  const store::HostRow* waits(const std::string& address);

 private:
  const store::Store& store_;
  const conf::Settings& settings_;
  TimePoint now_;
  std::string last_domain_;
  const store::HostRow* last_ = nullptr;
  std::map<std::string, std::optional<store::HostRow>> rows_;  // by route; empty: does not wait
};

/// "waits for ROUTE: LAST ERROR"
std::string waits_text(const store::HostRow&);

}  // namespace spoold::server::admin
