// `spoolctl resend`: a letter that a list itself has sent goes out once more, as a message of its own.
#include <algorithm>
#include <stdexcept>

#include "protocol/list/addresses.hpp"
#include "protocol/mail/ascii.hpp"
#include "server/admin/await.hpp"
#include "server/admin/directory_request.hpp"
#include "server/admin/views.hpp"
#include "store/directory/asked.hpp"
#include "store/directory/scores.hpp"
#include "store/spool/own_mail.hpp"
#include "store/spool/spool.hpp"
#include "store/store.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace directory = store::directory;

namespace {

/// Why the letter is worth nothing any more: its token was used, or its time is over. Nothing: it is worth something, or has none.
std::optional<std::string> dead_token(const Request& request, const store::Read& read,
                                      const std::string& path) {
  const mail::Address address(path);
  const auto sub = list::sub_address(mail::lower(address.local), request.settings.verp.delimiter);
  if (!sub || sub->role != list::Role::bounces || sub->detail.size() != 32 ||
      sub->detail.find('=') != std::string::npos)
    return std::nullopt;
  const auto asked = directory::asked_by_token(read, sub->detail);
  if (asked && asked->asked.until > request.store.now()) return std::nullopt;
  const auto probe = directory::probed(read, sub->detail);
  if (probe && probe->score.token_until > request.store.now()) return std::nullopt;
  return "its token is not good any more: it was used, its time is over, or an earlier copy came back";
}

}  // namespace

Json resend(const Request& request) {
  const std::string text = request.text("id");
  const auto id = store::parse_id(text);
  if (!id) return failure(Exit::usage, "'" + text + "' is not a queue id");
  std::vector<std::string> only;
  for (const std::string& address : request.texts("addresses"))
    only.push_back(mailbox_of(address, Mailbox::Allow::utf8).key());
  store::Acceptance made;
  {
    const store::Read read(request.store);
    auto letter = store::spool::own_mail(read, *id);
    if (!letter) return failure(letter.error());
    const auto message = store::spool::message(read, *id);
    if (message->counts.open() > 0)
      return failure(Exit::failed,
                     text + " is in the queue: `spoolctl retry " + text + "` tries it again now");
    if (auto dead = dead_token(request, read, letter->message.reverse_path))
      return failure(Exit::failed, *dead);
    if (!only.empty())
      std::erase_if(letter->recipients, [&](const store::PlainRecipient& one) {
        return std::ranges::find(only, mailbox_of(one.address, Mailbox::Allow::utf8).key()) == only.end();
      });
    made.messages.push_back(std::move(*letter));
  }
  store::NewMessage& letter = made.messages.front();
  if (letter.recipients.empty())
    return failure(Exit::nothing_matched, "nobody of these is a recipient of " + text);
  Json answer = success(request);
  answer["resent"] = text;
  answer["recipients"] = letter.recipients.size();
  if (request.dry_run) return answer;
  letter.message.id = request.store.new_id();
  const std::string fresh = store::id_text(letter.message.id);
  store::HistoryEvent event;
  event.at = request.store.now();
  event.message = *id;
  event.event = "edited";
  event.who = request.who;
  event.list = letter.message.list;
  event.detail = "sent again as " + fresh;
  made.events.push_back(std::move(event));
  made.content.bytes = std::make_shared<const std::string>();
  const auto accepted = await_result<store::Accepted>(
      [&](auto callback) { request.store.accept(std::move(made), std::move(callback)); });
  if (!accepted) return failure(accepted.error());
  request.lanes.wake(accepted->routes);
  audit(request, text + " is sent again as " + fresh);
  answer["id"] = fresh;
  return answer;
}

}  // namespace spoold::server::admin
