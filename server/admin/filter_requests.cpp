// hold, release, retry, remove and bounce: changes of all that a filter matches, whole messages or single recipients.
#include <algorithm>
#include <map>

#include "server/admin/await.hpp"
#include "server/admin/edit.hpp"
#include "server/admin/requests.hpp"
#include "server/admin/scan.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace {

using What = store::Edit::What;
using store::RecipientState;

constexpr std::size_t ids_named = 1000;       // of the messages changed, in an answer
constexpr std::size_t refusals_named = 1000;  // and of the recipients refused

std::optional<store::Message> find_message(const store::Store& store, store::Id id) {
  const store::Read read(store);
  return store::spool::message(read, id);
}

/// hold, release, retry, remove or bounce over all that a filter matches.
class Sweep {
 public:
  Sweep(const Request& request, What what) : request_(request), what_(what) {}

  /// False: the store failed; `error` says how.
  bool message(const store::Message& message, const Filter& filter) {
    const auto before = changed;
    // Each that is bounced has its own row: what it failed with, and whether that is to be reported.
    const bool one_by_one = filter.narrows_recipients() || what_ == What::bounce;
    const bool went_well = one_by_one ? some(message, filter) : whole(message);
    if (changed == before) return went_well;
    ++messages;
    if (ids.size() < ids_named) ids.push_back(store::id_text(message.id));
    if (what_ == What::retry && !request_.dry_run) request_.lanes.retry_now(message.id);
    return went_well;
  }

  std::uint64_t messages = 0, changed = 0, refused_count = 0;
  Json ids = Json::array(), refused = Json::array();
  std::optional<store::Error> error;

 private:
  /// Is there anything to do for a recipient in this state?
  bool concerns(RecipientState state) const {
    return what_ == What::release                           ? state == RecipientState::held
           : what_ == What::remove || what_ == What::bounce ? store::is_open(state)
                                                            : store::is_waiting(state);
  }

  std::uint32_t concerned(const store::Counts& counts) const {
    return what_ == What::release ? counts.held : what_ == What::remove ? counts.open() : counts.waiting();
  }

  bool some(const store::Message& message, const Filter& filter) {
    bool went_well = true;
    Scan(request_.store, request_.between)
        .recipients(message.id, [&](const std::vector<store::Recipient>& page) {
          std::vector<Wish> wishes;
          for (const auto& recipient : page) {
            if (!concerns(recipient.state) || !filter.matches(recipient, request_.settings)) continue;
            if (what_ == What::retry && recipient.active) continue;  // it is being tried just now
            wishes.push_back(wish(recipient));
          }
          went_well = wishes.empty() || apply(message.id, std::move(wishes));
          return went_well && !request_.stopping;
        });
    return went_well;
  }

  bool whole(const store::Message& message) {
    const auto count = concerned(message.counts);
    if (count == 0) return true;
    if (request_.dry_run) {
      changed += count;
      return true;
    }
    using Whole = store::Store::Whole;
    const Whole how = what_ == What::hold      ? Whole::hold
                      : what_ == What::release ? Whole::release
                      : what_ == What::retry   ? Whole::retry
                                               : Whole::remove;
    const auto claimed = await_result<std::vector<std::uint32_t>>(
        [&](auto callback) { request_.store.whole(message.id, how, request_.who, std::move(callback)); });
    if (!claimed) {
      const auto kind = claimed.error().kind;  // gone or finished meanwhile: nothing to do here
      if (kind == store::Error::Kind::not_found || kind == store::Error::Kind::conflict) return true;
      error = claimed.error();
      return false;
    }
    changed += count - std::min<std::uint32_t>(count, static_cast<std::uint32_t>(claimed->size()));
    if (claimed->empty() || what_ == What::retry || what_ == What::release) return true;
    return apply(message.id, wishes_for(message.id, *claimed));
  }

  Wish wish(const store::Recipient& recipient) const {
    Wish wish;
    wish.edit.what = what_;
    wish.edit.number = recipient.number;
    wish.address = recipient.address;
    wish.claim = recipient.claim;
    return wish;
  }

  std::vector<Wish> wishes_for(store::Id id, const std::vector<std::uint32_t>& numbers) const {
    std::vector<Wish> wishes;
    for (const std::uint32_t number : numbers) {
      const store::Read read(request_.store);
      const auto found = store::spool::recipients(read, id, number, 1);
      if (found.empty() || found[0].number != number) continue;
      wishes.push_back(wish(found[0]));
    }
    return wishes;
  }

  bool apply(store::Id id, std::vector<Wish> wishes) {
    if (request_.dry_run) {
      changed += wishes.size();
      return true;
    }
    const auto report = admin::edit_recipients(request_.store, request_.lanes, id, std::move(wishes),
                                               request_.who, false, request_.stopping);
    if (!report) {
      error = report.error();
      return false;
    }
    changed += report->done.size();
    refused_count += report->refused.size();
    for (const Refusal& refusal : report->refused) {
      if (refused.size() >= refusals_named) break;
      Json one = refusal_json(refusal);
      one["id"] = store::id_text(id);
      refused.push_back(std::move(one));
    }
    return true;
  }

  const Request& request_;
  What what_;
};

}  // namespace

Json change_matching(const Request& request) {
  const auto verb = request.text("verb");
  static const std::map<std::string, What> changes = {{"hold", What::hold},
                                                      {"release", What::release},
                                                      {"retry", What::retry},
                                                      {"remove", What::remove},
                                                      {"bounce", What::bounce}};
  const What what = changes.at(verb);
  const Filter filter = filter_from_json(request.json.at("filter"));
  if (filter.empty())
    return failure(Exit::usage, "name messages by id or by a filter; --all means every message");
  for (const store::Id id : filter.ids)
    if (!find_message(request.store, id))
      return failure(Exit::nothing_matched, "there is no message " + store::id_text(id));

  Sweep sweep(request, what);
  // The ids first: a message that is changed must not change what the walk sees next.
  std::vector<store::Id> ids;
  Scan(request.store, request.between)
      .messages(filter, request.store.now(), false, [&](const store::Message& message) {
        if (message.counts.open() > 0) ids.push_back(message.id);
        return true;
      });
  for (const store::Id id : ids) {
    if (request.stopping) {
      sweep.error = stopped_at(std::to_string(sweep.messages) + " messages were changed");
      break;
    }
    const auto message = find_message(request.store, id);
    if (message && !sweep.message(*message, filter)) break;
  }

  Json answer = success(request);
  answer["messages"] = sweep.messages;
  answer["recipients"] = sweep.changed;
  answer["ids"] = sweep.ids;
  answer["refused"] = sweep.refused;
  if (sweep.changed > 0)
    audit(request, verb + " " + std::to_string(sweep.changed) + " recipients of " +
                       std::to_string(sweep.messages) + " messages");
  if (sweep.error) {
    answer.update(failure(*sweep.error));
  } else if (sweep.refused_count > 0) {
    answer.update(failure(Exit::failed, std::to_string(sweep.refused_count) + " recipients were refused"));
  } else if (sweep.changed == 0) {
    answer.update(failure(Exit::nothing_matched, "nothing matched"));
  }
  return answer;
}

}  // namespace spoold::server::admin
