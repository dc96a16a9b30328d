#include "server/admin/host_clocks.hpp"

#include "conf/load.hpp"
#include "protocol/mail/mailbox.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

const store::HostRow* HostClocks::waits(const std::string& address) {
  const auto domain = domain_of(address);
  if (!last_domain_.empty() && domain == last_domain_) return last_;
  last_domain_ = std::string(domain);
  const std::string route = conf::route_of(settings_, domain);
  auto found = rows_.find(route);
  if (found == rows_.end()) {
    const store::Read read(store_);
    auto row = store::spool::host(read, route);
    if (row && row->memory.until <= now_) row.reset();
    found = rows_.emplace(route, std::move(row)).first;
  }
  last_ = found->second ? &*found->second : nullptr;
  return last_;
}

std::string waits_text(const store::HostRow& row) {
  return "waits for " + row.route + (row.memory.last_error.empty() ? "" : ": " + row.memory.last_error);
}

}  // namespace spoold::server::admin
