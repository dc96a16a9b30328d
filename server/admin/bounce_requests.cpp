// What is known of members' bounce scores, and taking failures back.
#include "conf/values.hpp"
#include "protocol/list/settings_table.hpp"
#include "protocol/rfc3339.hpp"
#include "server/admin/directory_request.hpp"
#include "server/admin/reads.hpp"
#include "server/admin/requests.hpp"
#include "server/admin/scan.hpp"
#include "server/admin/views.hpp"
#include "store/directory/scores.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace directory = store::directory;
namespace {

constexpr std::size_t rows_at_once = 500;

Json events_json(const std::vector<bounce::Event>& events) {
  Json all = Json::array();
  for (const bounce::Event& event : events)
    all.push_back({{"at", time_json(event.at)}, {"cause", event.cause}, {"points", event.soft ? 0.5 : 1.0}});
  return all;
}

Json score_json(const list::List& list, const directory::ScoredMember& member) {
  const bounce::Score& score = member.score;
  const list::BounceRules& rules = list.settings.bounces;
  const char* state = score.disabled != TimePoint{} ? "disabled"
                      : !score.token.empty()        ? "probed"
                                                    : "counted";
  const TimePoint next = bounce::next_tick(score, rules);
  Json row{{"address", member.address},
           {"score", score.half_points() / 2.0},
           {"threshold", rules.threshold / 2.0},
           {"state", state},
           {"counted", events_json(score.counted)},
           {"led", events_json(score.led)},
           {"warnings", score.warnings},
           {"disabled", score.disabled != TimePoint{} ? time_json(score.disabled) : Json(nullptr)},
           {"next", next != TimePoint::max() ? time_json(next) : Json(nullptr)}};
  const auto& last = score.counted.empty() ? score.led : score.counted;
  row["last"] = last.empty() ? Json(nullptr) : time_json(last.back().at);
  row["cause"] = last.empty() ? Json(nullptr) : Json(last.back().cause);
  return row;
}

}  // namespace

void Reads::scores(const list::List& list, const std::string& address, const RowSink& sink) const {
  if (!address.empty()) {
    const store::Read read(store_);
    if (auto score = directory::score_of(read, list.id, address))
      sink(score_json(list, {list.id, address, std::move(*score)}));
    return;
  }
  std::string after;
  for (std::size_t found = rows_at_once; found == rows_at_once;) {
    between_();
    std::vector<directory::ScoredMember> page;
    {
      const store::Read read(store_);
      directory::visit_scores(read, list.id, after, [&page](const directory::ScoredMember& member) {
        page.push_back(member);
        return page.size() < rows_at_once;
      });
    }
    found = page.size();
    if (found > 0) after = page.back().address;
    for (const directory::ScoredMember& member : page) sink(score_json(list, member));
  }
}

void Reads::bounces(const list::List& list, const std::string& address, const RowSink& sink) const {
  scan_.events({}, TimePoint::max(), 0, [&](const std::vector<store::HistoryEvent>& events) {
    for (const store::HistoryEvent& event : events)
      if ((event.event == "bounce" || event.event == "complaint") && event.list == list.id &&
          (address.empty() || event.address == address))
        sink(history_json(event));
  });
}

Json bounces_undo(const Request& request) {
  const auto list = find_list(request);
  if (!list) return failure(list.error());
  directory::UndoBounces change;
  std::vector<std::string> members;
  {
    const store::Read read(request.store);
    change.list = list->id;
    change.cause = request.text("cause");
    const auto since = parse_rfc3339(request.text("since"));
    if (!since)
      throw std::invalid_argument("'" + request.text("since") +
                                  "' is no time: expected 2026-11-28T06:00:00Z");
    change.since = *since;
    if (const std::string one = request.json.value("address", std::string()); !one.empty())
      change.address = mailbox_of(one, Mailbox::Allow::utf8).key();
    directory::visit_scores(read, list->id, {}, [&](const directory::ScoredMember& member) {
      bounce::Score score = member.score;
      if (!change.address.empty() && member.address != change.address) return true;
      (void)bounce::undo(score, list->settings.bounces, change.cause, change.since);
      if (directory::pack(score) != directory::pack(member.score)) members.push_back(member.address);
      return true;
    });
  }
  if (members.empty())
    return failure(Exit::nothing_matched, "no failure of the cause '" + change.cause + "' counts since then");
  Json answer = success(request);
  if (!request.dry_run) {
    const Done done = submit(request, change);
    if (!done.failure.is_null()) return done.failure;
    members.clear();
    for (const list::Member& member : done.applied.members) members.push_back(member.address);
  }
  answer["members"] = members;
  return answer;
}

}  // namespace spoold::server::admin
