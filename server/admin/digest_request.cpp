// `spoolctl digest`: what waits for the next digest of a list goes out now.
#include "server/admin/await.hpp"
#include "server/admin/directory_request.hpp"
#include "server/office/digests.hpp"
#include "store/store.hpp"

namespace spoold::server::admin {

Json digest(const Request& request) {
  const auto list = find_list(request);
  if (!list) return failure(list.error());
  auto made = digest_of(request.settings, request.store, list->id, request.store.now());
  if (!made) return failure(Exit::nothing_matched, "no post waits for a digest of " + list->address());
  Json answer = success(request);
  answer["list"] = list->address();
  answer["subject"] = made->messages.front().message.subject;
  answer["posts"] = made->digest->posts.size();
  if (request.dry_run) return answer;
  const auto accepted = await_result<store::Accepted>(
      [&](auto callback) { request.store.accept(std::move(*made), std::move(callback)); });
  if (!accepted) return failure(accepted.error());
  request.lanes.wake(accepted->routes);
  answer["ids"] = Json::array();
  std::uint32_t recipients = 0;
  for (std::size_t i = 0; i < accepted->ids.size(); ++i) {
    answer["ids"].push_back(store::id_text(accepted->ids[i]));
    recipients += accepted->recipients[i];
  }
  answer["recipients"] = recipients;
  audit(request, "digest of " + list->address());
  return answer;
}

}  // namespace spoold::server::admin
