// accept, reject, discard, forward: what a moderator decides about a held post (server/office/moderation.hpp).
#include "protocol/mail/mailbox.hpp"
#include "protocol/mail/utf8.hpp"
#include "server/admin/await.hpp"
#include "server/admin/requests.hpp"
#include "server/idna.hpp"
#include "server/office/moderation.hpp"
#include "store/store.hpp"

namespace spoold::server::admin {
namespace {

Json failed(const store::Error& error) {
  const bool unknown = error.kind == store::Error::Kind::not_found;
  return failure(unknown ? Exit::nothing_matched : Exit::failed, error.text);
}

Json decide(const Request& request, Moderation asked) {
  const auto id = store::parse_id(request.text("id"));
  if (!id) return failure(Exit::usage, "'" + request.text("id") + "' is no queue id");
  asked.post = *id;
  asked.who = request.who;
  asked.dry_run = request.dry_run;
  auto made = moderate(request.settings, request.store, asked);
  while (made && made->unnumbered) {
    const auto leased = await_result<void>([&](store::Callback<void> done) {
      request.store.post_numbers().lease(*made->unnumbered, std::move(done));
    });
    if (!leased) return failure(leased.error());
    made = moderate(request.settings, request.store, asked);
  }
  if (!made) return failed(made.error());
  Json answer = success(request);
  answer["id"] = store::id_text(made->post.id);
  answer["list"] = made->post.list_address;
  answer["sender"] = made->post.poster;
  answer["subject"] = made->post.subject;
  if (request.dry_run) return answer;
  const auto accepted = await_result<store::Accepted>(
      [&](auto callback) { request.store.accept(std::move(made->acceptance), std::move(callback)); });
  if (!accepted) return failed(accepted.error());
  request.lanes.wake(accepted->routes);
  if (asked.what == Moderation::What::accept) {
    answer["message"] = store::id_text(accepted->ids.at(0));
    answer["recipients"] = accepted->recipients.at(0);
  }
  audit(request, request.text("verb") + " " + store::id_text(*id) + " of " + made->post.poster + " to " +
                     made->post.list_address);
  return answer;
}

}  // namespace

Json held_accept(const Request& request) {
  return decide(request,
                {.what = Moderation::What::accept, .remember = request.json.value("remember", false)});
}

Json held_reject(const Request& request) {
  const std::string reason = request.json.value("reason", std::string());
  if (reason.size() > 500 || !mail::is_utf8_text(reason))
    return failure(Exit::usage, "a reason is one line of UTF-8 text of at most 500 octets");
  return decide(request, {.what = Moderation::What::reject, .reason = reason});
}

Json held_discard(const Request& request) {
  return decide(request, {.what = Moderation::What::discard});
}

Json held_forward(const Request& request) {
  const auto to = Mailbox::parse(ascii_domains(request.text("address")), Mailbox::Allow::utf8);
  if (!to) return failure(Exit::usage, "'" + request.text("address") + "': " + to.error());
  return decide(request, {.what = Moderation::What::forward, .address = to->text()});
}

}  // namespace spoold::server::admin
