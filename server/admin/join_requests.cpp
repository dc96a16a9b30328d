// What people asked of lists by mail: what waits, what a mail would do, and the decision of an owner about who asks to join.
#include "protocol/list/addresses.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/admin/directory_request.hpp"
#include "server/admin/reads.hpp"
#include "server/admin/requests.hpp"
#include "server/admin/views.hpp"
#include "server/office/requests.hpp"
#include "store/directory/asked.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace directory = store::directory;

void Reads::requests(list::ListId of, const RowSink& sink) const {
  std::string after;
  for (bool more = true; more;) {
    between_();
    std::vector<Json> page;
    {
      const store::Read read(store_);
      more = directory::visit_asked(read, after, 500, [&](const directory::AskedRow& row) {
        const bool waits =
            row.asked.answer == list::Answer::confirm || row.asked.answer == list::Answer::moderate;
        if (!waits || (of != 0 && row.list != of)) return true;
        const auto list = directory::list(read, row.list);
        if (!list) return true;
        page.push_back({{"list", list->address()},
                        {"address", row.asked.address},
                        {"name", row.asked.name},
                        {"request", list::text(row.asked.what)},
                        {"waits_for", row.asked.answer == list::Answer::confirm ? "member" : "owners"},
                        {"since", time_json(row.asked.since)},
                        {"until", time_json(row.asked.until)}});
        return true;
      });
    }
    for (Json& row : page) sink(std::move(row));
  }
}

std::optional<std::vector<Json>> Reads::commands(const std::string& address, const mail::Header& header,
                                                 std::string_view mail, std::string_view reverse_path) const {
  const Mailbox path = mailbox_of(address);
  const auto sub = list::sub_address(path.local(), settings_.verp.delimiter);
  if (!sub) return std::nullopt;
  const store::Read read(store_);
  smtp::to::Command to;
  to.role = list::text(sub->role);
  if (sub->role == list::Role::confirm) {
    const auto row = directory::asked_by_token(read, mail::lower(sub->detail));
    if (!row) return std::nullopt;
    to.list = row->list;
    to.token = mail::lower(sub->detail);
  } else if (sub->role == list::Role::join || sub->role == list::Role::leave ||
             sub->role == list::Role::request) {
    const auto list = directory::find_list(read, sub->list, path.domain());
    if (!list) return std::nullopt;
    to.list = list->id;
  } else {
    return std::nullopt;
  }
  std::vector<Json> all;
  for (const WouldDo& one :
       would_do(read, to, {.header = header, .content = mail, .reverse_path = reverse_path}, store_.now()))
    all.push_back({{"command", one.command},
                   {"address", one.address},
                   {"outcome", one.outcome},
                   {"reason", one.reason}});
  return all;
}

Json member_decide(const Request& request) {
  const bool refuse = request.text("verb") == "member-refuse";
  const auto list = find_list(request);
  if (!list) return failure(list.error());
  Json done = Json::array(), unknown = Json::array();
  for (const std::string& text : request.texts("addresses")) {
    const std::string key = mailbox_of(text, Mailbox::Allow::utf8).key();
    const auto asked = [&] {
      const store::Read read(request.store);
      return directory::asked_of(read, list->id, key, list::What::join);
    }();
    if (!asked || asked->answer != list::Answer::moderate) {
      unknown.push_back(text);
      continue;
    }
    done.push_back(asked->address);
    if (request.dry_run) continue;
    directory::Redeem redeem{.token = asked->token, .refuse = refuse};
    redeem.reason = request.json.value("reason", std::string());
    const Done submitted = submit(request, std::move(redeem), asked->token);
    if (!submitted.failure.is_null()) return submitted.failure;
  }
  Json answer = success(request);
  answer["list"] = list->address();
  answer[refuse ? "refused" : "accepted"] = done;
  answer["unknown"] = unknown;
  if (done.empty())
    answer.update(
        failure(Exit::nothing_matched, "nobody of these waits for the owners of " + list->address()));
  else if (!unknown.empty())
    answer.update(failure(Exit::failed, "some of these do not wait for the owners of " + list->address()));
  return answer;
}

}  // namespace spoold::server::admin
