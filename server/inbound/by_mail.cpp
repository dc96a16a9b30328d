#include "server/inbound/by_mail.hpp"

#include "server/await_store.hpp"
#include "server/log.hpp"

namespace spoold::server {
namespace {

bool is_settled(const store::Error& error) {
  return error.kind == store::Error::Kind::conflict || error.kind == store::Error::Kind::not_found;
}

std::string done_text(const Moderation& asked, const store::HeldPost& post) {
  const char* did = asked.what == Moderation::What::accept   ? "accepted"
                    : asked.what == Moderation::What::reject ? "rejected"
                                                             : "discarded";
  return "You have " + std::string(did) + " the post " + store::id_text(post.id) + " of " + post.poster +
         " to " + post.list_address + "." +
         (asked.remember ? "\r\nFrom now on " + post.poster + " may post without a moderator." : "");
}

constexpr const char* not_understood =
    "Your answer was not understood, and nothing was done. Write one of these words in the first line of an "
    "answer\r\n"
    "to the notice: accept, accept remember, reject and a reason, discard.";

/// One decision, with the number of a post when it needs one; the words for the moderator, or a failure of the store.
Awaitable<store::Result<std::string>> decide(asio::any_io_executor executor, Reception& reception,
                                             const conf::Settings& settings, const Moderation& asked) {
  for (;;) {
    store::Result<Moderated> made = moderate(settings, reception.store, asked);
    if (!made && is_settled(made.error())) co_return made.error().text + ".";
    if (!made) co_return tl::unexpected(made.error());
    if (made->unnumbered) {
      auto lease = [&reception, list = *made->unnumbered](store::Callback<void> done) {
        reception.store.post_numbers().lease(list, std::move(done));
      };
      store::Result<void> leased = co_await await_store<void>(executor, std::move(lease));
      if (!leased) co_return tl::unexpected(leased.error());
      continue;
    }
    auto start = [&reception, &made](store::Callback<store::Accepted> done) {
      reception.store.accept(std::move(made->acceptance), std::move(done));
    };
    store::Result<store::Accepted> accepted =
        co_await await_store<store::Accepted>(executor, std::move(start));
    if (!accepted && is_settled(accepted.error())) co_return accepted.error().text + ".";
    if (!accepted) co_return tl::unexpected(accepted.error());
    reception.wake(accepted->routes);
    const std::string words = done_text(asked, made->post), qid = store::id_text(asked.post);
    log::event(log::Level::info, "moderation",
               {{"qid", qid}, {"list", made->post.list_address}, {"from", asked.who}, {"reply", words}});
    co_return words;
  }
}

}  // namespace

Awaitable<store::Result<void>> moderate_by_mail(asio::any_io_executor executor, Reception& reception,
                                                const conf::Settings& settings,
                                                const std::vector<ModerationByMail>& answers) {
  for (const ModerationByMail& one : answers) {
    std::string words = not_understood;
    if (one.asked) {
      store::Result<std::string> decided = co_await decide(executor, reception, settings, *one.asked);
      if (!decided) co_return tl::unexpected(decided.error());
      words = std::move(*decided);
    }
    if (one.answer_to.empty() || one.list_address.empty()) continue;
    store::Acceptance answer = answer_to_moderator(settings, one.answer_to, one.list_address, words,
                                                   one.message_id, reception.store.now());
    auto start = [&reception, &answer](store::Callback<store::Accepted> done) {
      reception.store.accept(std::move(answer), std::move(done));
    };
    store::Result<store::Accepted> accepted =
        co_await await_store<store::Accepted>(executor, std::move(start));
    if (!accepted) co_return tl::unexpected(accepted.error());
    reception.wake(accepted->routes);
  }
  co_return store::Result<void>();
}

}  // namespace spoold::server
