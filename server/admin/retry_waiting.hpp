// What waits on a route for a time of its own, made due now. What is due already is not touched: a million
// that wait for their host cost nothing here. Lanes hear of it as of any edit; the clock of a host is
// wake_hosts()'s. Blocks, as edit_recipients() does.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "server/admin/edit.hpp"
#include "server/admin/requests.hpp"

namespace spoold::server::admin {

class RetryWaiting {
 public:
  explicit RetryWaiting(const Request& request) : request_(request) {}
  store::Result<void> on(const std::string& route);

  std::set<store::Id> messages;  // of which somebody was made due
  std::uint64_t recipients = 0;

 private:
  store::Result<void> apply();

  const Request& request_;
  std::map<store::Id, std::vector<Wish>> wishes_;
  std::size_t wished_ = 0;
};

}  // namespace spoold::server::admin
