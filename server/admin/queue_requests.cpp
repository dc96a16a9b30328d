// Requests that change the queue: single recipients of one message, or what a filter matches.
#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "protocol/mail/mailbox.hpp"
#include "server/admin/await.hpp"
#include "server/admin/edit.hpp"
#include "server/admin/requests.hpp"
#include "server/admin/scan.hpp"
#include "server/admin/views.hpp"
#include "server/idna.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace {

using What = store::Edit::What;

bool is_open(const store::Recipient& r) {
  return store::is_open(r.state);
}

store::Id id_of(const Json& json) {
  const auto text = json.at("id").get<std::string>();
  const auto id = store::parse_id(text);
  if (!id) throw std::invalid_argument("'" + text + "' is not a queue id");
  return *id;
}

std::optional<store::Message> find_message(const store::Store& store, store::Id id) {
  const store::Read read(store);
  return store::spool::message(read, id);
}

Json no_message(store::Id id) {
  return failure(Exit::nothing_matched, "there is no message " + store::id_text(id));
}

/// What edit-recipients asks, as far as it can be known before the lanes and the store are asked.
struct Plan {
  std::vector<Wish> wishes;
  std::vector<Refusal> refused;

  void refuse(What what, const std::string& address, std::string reason) {
    Wish wish;
    wish.edit.what = what;
    wish.address = address;
    refused.push_back({std::move(wish), std::move(reason)});
  }
};

/// The recipients that `address` names now: the open ones, else a refusal that says what became of it.
void plan_change(const store::Read& read, store::Id id, What what, const std::string& address,
                 const std::string& replacement, Plan& plan) {
  const auto mailbox = Mailbox::parse(ascii_domains(address), Mailbox::Allow::utf8);
  if (!mailbox) return plan.refuse(what, address, mailbox.error());
  const auto found = store::spool::find_recipients(read, id, mailbox->key());
  if (found.empty()) return plan.refuse(what, address, "not a recipient of this message");
  bool any = false;
  for (const store::Recipient& recipient : found) {
    if (!is_open(recipient)) continue;
    any = true;
    Wish wish;
    wish.edit.what = what;
    wish.edit.number = recipient.number;
    wish.edit.address = replacement;
    wish.address = recipient.address;
    wish.claim = recipient.claim;
    plan.wishes.push_back(std::move(wish));
    if (what == What::replace) break;  // one new recipient, however often the old one is there
  }
  if (!any) plan.refuse(what, address, std::string("already ") + text(found.back().state));
}

void plan_addition(const store::Read& read, store::Id id, const std::string& address, Plan& plan) {
  const auto mailbox = Mailbox::parse(ascii_domains(address), Mailbox::Allow::utf8);
  if (!mailbox) return plan.refuse(What::add, address, mailbox.error());
  const auto found = store::spool::find_recipients(read, id, mailbox->key());
  if (std::any_of(found.begin(), found.end(), is_open))
    return plan.refuse(What::add, address, "already a recipient");
  Wish wish;
  wish.edit.what = What::add;
  wish.edit.address = mailbox->text();
  wish.address = mailbox->text();
  plan.wishes.push_back(std::move(wish));
}

Plan plan_edit(const Request& request, store::Id id) {
  Plan plan;
  const store::Read read(request.store);
  for (const auto& address : request.texts("remove")) plan_change(read, id, What::remove, address, {}, plan);
  for (const auto& address : request.texts("isolate"))
    plan_change(read, id, What::isolate, address, {}, plan);
  for (const auto& address : request.texts("add")) plan_addition(read, id, address, plan);
  if (request.json.contains("replace"))
    for (const Json& pair : request.json.at("replace")) {
      const auto old = pair.at("old").get<std::string>(), now = pair.at("new").get<std::string>();
      const auto mailbox = Mailbox::parse(ascii_domains(now), Mailbox::Allow::utf8);
      if (!mailbox)
        plan.refuse(What::replace, old, "'" + now + "': " + mailbox.error());
      else
        plan_change(read, id, What::replace, old, mailbox->text(), plan);
    }
  return plan;
}

std::string counted(std::size_t n, const char* what) {
  return std::to_string(n) + " " + what;
}

constexpr std::size_t together = 1000;  // of one write transaction: below 20 ms

}  // namespace

Json edit_recipients(const Request& request) {
  const store::Id id = id_of(request.json);
  if (!find_message(request.store, id)) return no_message(id);
  const bool all_or_nothing = request.json.value("all_or_nothing", false);
  Plan plan = plan_edit(request, id);
  if (plan.wishes.empty() && plan.refused.empty()) return failure(Exit::usage, "nothing to change was named");

  if (all_or_nothing && plan.wishes.size() > together)
    return failure(Exit::usage, "all or nothing is for at most 1000 recipients");
  EditReport report;
  if (all_or_nothing && !plan.refused.empty()) {
    for (const Wish& wish : plan.wishes)
      plan.refused.push_back({wish, "not changed: another one was refused"});
  } else if (request.dry_run) {
    for (const Wish& wish : plan.wishes) report.done.push_back({wish, wish.edit.number});
  } else {
    auto result = admin::edit_recipients(request.store, request.lanes, id, plan.wishes, request.who,
                                         all_or_nothing, request.stopping);
    if (!result) return failure(result.error());
    report = std::move(*result);
  }
  report.refused.insert(report.refused.begin(), plan.refused.begin(), plan.refused.end());

  Json answer = success(request);
  answer["id"] = store::id_text(id);
  for (const char* list : {"removed", "added", "replaced", "isolated", "refused"})
    answer[list] = Json::array();
  std::string what;
  for (const auto& [wish, number] : report.done) {
    Json one{{"address", wish.address}, {"number", number}};
    if (request.dry_run && wish.claim != TimePoint{}) one["in_delivery"] = true;
    const char* list = wish.edit.what == What::remove    ? "removed"
                       : wish.edit.what == What::add     ? "added"
                       : wish.edit.what == What::isolate ? "isolated"
                                                         : "replaced";
    if (wish.edit.what == What::replace) one["new"] = wish.edit.address;
    what += std::string(what.empty() ? "" : ", ") + list + " " + wish.address;
    if (wish.edit.what == What::replace) what += " by " + wish.edit.address;
    answer[list].push_back(std::move(one));
  }
  for (const auto& refusal : report.refused) answer["refused"].push_back(refusal_json(refusal));
  if (!report.refused.empty()) {
    answer["ok"] = false;
    answer["exit"] = static_cast<int>(Exit::failed);
    answer["error"] = counted(report.refused.size(),
                              report.refused.size() == 1 ? "change was refused" : "changes were refused");
  }
  if (!report.done.empty()) audit(request, store::id_text(id) + ": " + what);
  return answer;
}

Json edit_sender(const Request& request) {
  const store::Id id = id_of(request.json);
  const auto message = find_message(request.store, id);
  if (!message) return no_message(id);
  if (message->list != 0)
    return failure(Exit::failed,
                   "a post of a list goes out from the list's own -bounces addresses: change the list's verp "
                   "setting for later posts");
  std::string sender = request.text("sender");
  if (sender == "<>") sender.clear();
  if (!sender.empty()) {
    const auto mailbox = Mailbox::parse(sender, Mailbox::Allow::utf8);
    if (!mailbox) return failure(Exit::usage, "'" + sender + "': " + mailbox.error());
    sender = mailbox->text();
  }
  if (message->counts.open() == 0)
    return failure(Exit::failed, store::id_text(id) + " is finished: no recipient is open");
  if (!request.dry_run) {
    const auto done = await_result<void>(
        [&](auto callback) { request.store.edit_sender(id, sender, request.who, std::move(callback)); });
    if (!done) return failure(done.error());
  }
  audit(request, store::id_text(id) + ": sender <" + message->reverse_path + "> is now <" + sender + ">");
  Json answer = success(request);
  answer["id"] = store::id_text(id);
  answer["old"] = message->reverse_path;
  answer["sender"] = sender;
  return answer;
}

namespace {

/// null: the lanes did not answer in time.
Json recipients_in_hand(Lanes& lanes) {
  const auto ask = [&](auto callback) {
    lanes.destinations([callback](std::vector<DestinationState> all) { callback(std::move(all)); });
  };
  const auto states = await_result<std::vector<DestinationState>>(ask, for_lanes);
  if (!states) return nullptr;
  std::uint64_t sum = 0;
  for (const DestinationState& state : *states) sum += state.in_hand;
  return sum;
}

}  // namespace

Json stats(const Request& request) {
  if (!request.stats)
    return failure(Exit::failed, "no daemon is running: counters are those of a running spoold");
  const Stats& s = *request.stats;
  Json answer = success(request);
  answer["accepted"] = s.accepted.load();
  answer["refused"] = s.refused.load();
  answer["recipients"] = s.recipients.load();
  answer["delivered"] = s.delivered.load();
  answer["deferred"] = s.deferred.load();
  answer["failed"] = s.failed.load();
  answer["expired"] = s.expired.load();
  answer["bounced"] = s.bounced.load();
  answer["logins"] = s.logins.load();
  answer["failed_logins"] = s.failed_logins.load();
  answer["spf_refused"] = s.spf_refused.load();
  answer["dmarc_refused"] = s.dmarc_refused.load();
  answer["dkim2_refused"] = s.dkim2_refused.load();
  answer["dnsbl_refused"] = s.dnsbl_refused.load();
  answer["fcrdns_refused"] = s.fcrdns_refused.load();
  answer["helo_refused"] = s.helo_refused.load();
  answer["early_talkers"] = s.early_talkers.load();
  answer["rate_refused"] = s.rate_refused.load();
  answer["greylisted"] = s.greylisted.load();
  answer["milter_refused"] = s.milter_refused.load();
  answer["milter_troubles"] = s.milter_troubles.load();
  answer["lanes_held"] = s.lanes_held.load();
  answer["room_refused"] = s.room_refused.load();
  answer["slow_disk_refused"] = s.slow_disk_refused.load();
  answer["memory_refused"] = s.memory_refused.load();
  answer["connections_refused"] = s.connections_refused.load();
  answer["dns_questions"] = s.dns_questions.load();
  answer["dns_failures"] = s.dns_failures.load();
  answer["sessions_in"] = s.sessions_in.load();
  answer["sessions_out"] = s.sessions_out.load();
  answer["bytes_in"] = s.bytes_in.load();
  answer["bytes_out"] = s.bytes_out.load();
  answer["open_in"] = s.open_in.load();
  answer["open_out"] = s.open_out.load();
  answer["stress"] = s.stress.load();
  answer["in_hand"] = recipients_in_hand(request.lanes);
  answer["possible_duplicates"] = request.store.possible_duplicates();
  answer["loops"] = Json::array();
  for (const Stats::Loop& loop : s.loops())
    answer["loops"].push_back(
        {{"name", loop.name}, {"lag_ms", static_cast<double>(loop.late.count()) / 1000}});

  std::uint64_t messages = 0, queued = 0, deferred = 0, held = 0;
  Scan(request.store, request.between)
      .messages(Filter{}, request.store.now(), false, [&](const store::Message& m) {
        ++messages;
        queued += m.counts.queued;
        deferred += m.counts.deferred;
        held += m.counts.held;
        return true;
      });
  std::error_code error;
  const auto size = std::filesystem::file_size(request.settings.spool.path + "/data.mdb", error);
  answer["queue"] = {{"messages", messages}, {"queued", queued}, {"deferred", deferred}, {"held", held}};
  answer["store"] = {
      {"file_size", error ? Json(nullptr) : Json(size)},
      {"max_size", request.settings.spool.max_size},
      {"has_room", request.store.has_room()},
      {"oldest_wait_ms",
       std::chrono::duration_cast<std::chrono::milliseconds>(request.store.oldest_wait()).count()},
      {"trouble", request.store.trouble()}};
  return answer;
}

}  // namespace spoold::server::admin
