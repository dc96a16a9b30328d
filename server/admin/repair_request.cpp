// "repair": counts anew what `spoolctl check` found not to add up, one transaction a message, content or list.
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "server/admin/await.hpp"
#include "server/admin/requests.hpp"
#include "store/directory/check.hpp"
#include "store/spool/repair.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace {

/// What `apply` changed, in words.
store::Result<std::string> run(const Request& request, std::function<std::string(store::Write&)> apply) {
  auto what = std::make_shared<std::string>();
  const auto done = await_result<void>([&](auto callback) {
    store::Job job;
    job.apply = [what, apply = std::move(apply)](store::Write& write) -> store::Result<void> {
      *what = apply(write);
      return {};
    };
    job.done = std::move(callback);
    request.store.submit(std::move(job));
  });
  if (!done) return tl::unexpected(done.error());
  return *what;
}

}  // namespace

Json repair(const Request& request) {
  std::vector<std::pair<std::string, std::function<std::string(store::Write&)>>> jobs;
  for (const auto& text : request.texts("messages"))
    if (const auto id = store::parse_id(text))
      jobs.emplace_back("message " + text,
                        [id = *id](store::Write& write) { return store::spool::repair_message(write, id); });
  for (const auto& text : request.texts("contents"))
    if (const auto id = store::parse_id(text))
      jobs.emplace_back("content " + text,
                        [id = *id](store::Write& write) { return store::spool::repair_content(write, id); });
  if (request.json.contains("lists"))
    for (const Json& list : request.json.at("lists"))
      jobs.emplace_back("list " + dump(list), [id = list.get<list::ListId>()](store::Write& write) {
        return store::directory::repair_list(write, id);
      });
  Json answer = success(request);
  answer["repaired"] = Json::array();
  for (auto& [name, apply] : jobs) {
    if (request.dry_run) {
      answer["repaired"].push_back(name);
      continue;
    }
    const auto what = run(request, std::move(apply));
    if (!what) return failure(what.error());
    if (what->empty()) continue;
    audit(request, *what);
    answer["repaired"].push_back(*what);
  }
  return answer;
}

}  // namespace spoold::server::admin
