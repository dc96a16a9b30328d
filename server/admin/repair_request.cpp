// "repair": counts anew what `spoolctl check` found not to add up, one transaction a message, content or list.
#include <utility>
#include <vector>

#include "server/admin/await.hpp"
#include "server/admin/requests.hpp"
#include "store/store.hpp"

namespace spoold::server::admin {

Json repair(const Request& request) {
  using What = store::Repair::What;
  std::vector<std::pair<std::string, store::Repair>> findings;
  for (const auto& text : request.texts("messages"))
    if (const auto id = store::parse_id(text))
      findings.emplace_back("message " + text, store::Repair{What::message, *id});
  for (const auto& text : request.texts("contents"))
    if (const auto id = store::parse_id(text))
      findings.emplace_back("content " + text, store::Repair{What::content, *id});
  if (request.json.contains("lists"))
    for (const Json& list : request.json.at("lists"))
      findings.emplace_back("list " + dump(list), store::Repair{What::list, list.get<list::ListId>()});
  Json answer = success(request);
  answer["repaired"] = Json::array();
  // Rows that cannot be read were mended before the store was opened (Access::change), or are not while spoold runs.
  if (request.dry_run) answer["repaired"] = request.texts("rows");
  for (const auto& [name, finding] : findings) {
    if (request.dry_run) {
      answer["repaired"].push_back(name);
      continue;
    }
    const auto what = await_result<std::string>(
        [&, finding = finding](auto callback) { request.store.repair(finding, std::move(callback)); });
    if (!what) return failure(what.error());
    if (what->empty()) continue;
    audit(request, *what);
    answer["repaired"].push_back(*what);
  }
  return answer;
}

}  // namespace spoold::server::admin
