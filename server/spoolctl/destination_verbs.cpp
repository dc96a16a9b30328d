// destinations and wake: next hops.
#include "server/admin/destinations.hpp"

#include <algorithm>

#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

namespace {

Exit destinations(const Console& console, const std::string& pattern, const Filter& filter) {
  // The lanes' own answer where a daemon runs, else what the store remembers.
  const Json answer = console.access.ask_daemon(Json{{"verb", "destinations"}});
  const Json live = answer.value("ok", false) ? answer.at("destinations") : Json::array();
  return console.reading([&](const Reads& reads, TimePoint now) {
    const auto store = console.access.store();
    const Json totals = reads.queue_by(filter, "destination");
    Json rows = destination_rows(**store, console.access.settings(), totals, live, pattern);
    if (!filter.empty())
      rows.erase(
          std::remove_if(rows.begin(), rows.end(), [](const Json& row) { return row.at("messages") == 0; }),
          rows.end());
    put(console.json ? dump(rows, 1) + "\n" : rows.empty() ? "" : destinations_text(rows, now));
    if (!rows.empty()) return Exit::done;
    if (!pattern.empty() || !filter.empty()) return console.nothing_matched();
    if (!console.json) put("No next hop has mail, and nothing is remembered of any.\n");
    return Exit::done;
  });
}

constexpr const char* host_meaning = "a route, host or URL of a next hop, or a pattern";

}  // namespace

void declare_destination_verbs(const Verbs& verbs) {
  Verb verb =
      verbs.add("destinations", "show the next hops: what waits, their health, what was learned of them");
  const auto filter = verb.filter(false);
  const auto pattern = verb.optional_word("HOST", host_meaning);
  verb.runs([=](const Console& console) { return destinations(console, *pattern, filter()); });

  Verb wake = verbs.add("wake", "try a next hop again now, with all that waits for it");
  const auto host = wake.word("HOST", host_meaning);
  wake.request("wake", [=](Json& request) { request["host"] = *host; });
}

}  // namespace spoold::server::admin
