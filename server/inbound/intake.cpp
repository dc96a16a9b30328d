#include "server/inbound/intake.hpp"

#include "server/await_store.hpp"
#include "server/inbound/by_mail.hpp"
#include "server/inbound/replies.hpp"

namespace spoold::server {

using What = smtp::ServerDialog::Action::What;

Intake::Intake(Reception& reception, const Rules& rules, const smtp::ServerDialog& dialog, const Peer& peer,
               SessionLog& log, asio::any_io_executor executor)
    : reception_(reception),
      rules_(rules),
      dialog_(dialog),
      peer_(peer),
      log_(log),
      executor_(executor),
      content_(reception.store, std::move(executor), reception.memory) {}

void Intake::follow(smtp::ServerDialog::Action action) {
  if (dialog_.receiving()) {
    if (dialog_.reader().size() != 0) return;
    content_.expect(dialog_.transaction().declared_size);
    // Sessions that wait for a commit wait a moment for this message too: one flush does for all.
    if (!announced_) announced_ = reception_.store.announce();
  } else if (action.what != What::commit) {  // no message, or one that was refused while it came
    forget();
    staging_failed_.reset();
  }
}

bool Intake::is_full() {
  if (!dialog_.receiving()) return false;
  if (!staging_failed_) return content_.full(dialog_.reader().header_size());
  content_.bytes().clear();  // the rest of the message is only read to its end
  return false;
}

Awaitable<> Intake::make_room() {
  announced_.reset();  // a large message takes its time: nobody is to wait for it
  store::Result<void> room = co_await content_.room(dialog_.reader().header_size());
  if (!room) staging_failed_ = room.error();
}

void Intake::forget() {
  content_.forget();
  announced_.reset();
}

std::vector<smtp::Reply> Intake::refuse_all(const store::Error& error) {
  const smtp::Reply reply = reply_of(error);
  const smtp::Transaction& transaction = dialog_.transaction();
  log_.refused(transaction.reverse_path, "", reply);
  return std::vector<smtp::Reply>(dialog_.profile().lmtp ? transaction.recipients.size() : 1, reply);
}

Awaitable<std::vector<smtp::Reply>> Intake::commit() {
  // An error while slices were staged is answered now: the client heard nothing before the end of its data.
  if (const auto failed = std::exchange(staging_failed_, std::nullopt)) co_return refuse_all(*failed);
  store::Result<store::ContentSource> source = co_await content_.finish(dialog_.reader().size());
  if (!source) co_return refuse_all(source.error());

  const smtp::Transaction& transaction = dialog_.transaction();
  Disposition disposition = decide(*source);
  while (disposition.unnumbered) {
    auto begin = [this, list = *disposition.unnumbered](store::Callback<void> done) {
      reception_.store.post_numbers().lease(list, std::move(done));
    };
    store::Result<void> leased = co_await await_store<void>(executor_, std::move(begin));
    if (!leased) co_return refuse_all(leased.error());
    disposition = decide(*source);
  }
  for (std::size_t i = 0; i < disposition.fates.size(); ++i)
    if (disposition.fates[i].refusal)
      log_.refused(transaction.reverse_path, transaction.recipients[i].address,
                   *disposition.fates[i].refusal);
  if (!disposition.moderations.empty()) {
    store::Result<void> done =
        co_await moderate_by_mail(executor_, reception_, *rules_.settings, disposition.moderations);
    if (!done) co_return refuse_all(done.error());
  }
  store::Accepted accepted;
  // Where all are refused the reply says so, and the history has nothing to add.
  if (!disposition.all_refused()) {
    const SessionLog::Summary summary(disposition.acceptance);  // the acceptance is the store's from here on
    auto start = [this, &disposition](store::Callback<store::Accepted> done) {
      reception_.store.accept(std::move(disposition.acceptance), std::move(done));
      announced_.reset();
    };
    store::Result<store::Accepted> stored =
        co_await await_store<store::Accepted>(executor_, std::move(start));
    if (!stored) co_return refuse_all(stored.error());
    accepted = std::move(*stored);
    log_.accepted(summary, accepted, transaction.reverse_path, dialog_.tls(), dialog_.user());
    if (!accepted.ids.empty() || !accepted.held.empty()) {
      content_.accepted();  // before forget(), which abandons what was staged
      reception_.wake(accepted.routes);
    }
  }
  co_return replies_of(disposition, accepted, dialog_.profile().lmtp);
}

Disposition Intake::decide(store::ContentSource source) const {
  const smtp::DataReader& reader = dialog_.reader();
  Arrival arrival{.transaction = dialog_.transaction(),
                  .header = content_.header(source).substr(0, static_cast<std::size_t>(reader.header_size())),
                  .content = std::move(source),
                  .scanned = reader.scanned(),
                  .client = client_text(dialog_.hello(), peer_.literal()),
                  .protocol = dialog_.protocol(),
                  .tls = dialog_.tls(),
                  .at = reception_.store.now(),
                  .one_reply = !dialog_.profile().lmtp,
                  .numbers = &reception_.store.post_numbers(),
                  .addresses = &rules_.addresses,
                  .may_relay = dialog_.may_relay(),
                  .user = dialog_.user()};
  return dispose(*rules_.settings, reception_.store, std::move(arrival));
}

}  // namespace spoold::server
