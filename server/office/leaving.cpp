#include "server/office/leaving.hpp"

#include <utility>

#include "store/directory/changes.hpp"

namespace spoold::server {

void leave(const smtp::to::Leave& to, const Arrival& arrival, store::Acceptance& acceptance) {
  const std::string& sender = arrival.transaction.reverse_path;
  const std::string by = sender.empty() ? std::string("<>") : sender;
  std::string who = "one-click, by mail of " + by;
  if (to.address.empty()) {
    store::HistoryEvent event;
    event.at = arrival.at;
    event.event = "edited";
    event.who = std::move(who);
    event.list = to.list;
    event.detail = "asked to leave, and was no member any more";
    acceptance.events.push_back(std::move(event));
    return;
  }
  // The id is that of the membership, which ends once.
  store::directory::Operation operation{"leave:" + std::to_string(to.list) + ":" + std::to_string(to.member),
                                        std::move(who),
                                        store::directory::Unsubscribe{to.list, {to.address}, {}, by}};
  acceptance.operations.push_back(store::directory::pack(operation));
}

}  // namespace spoold::server
