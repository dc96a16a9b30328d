#include "server/inbound/intake.hpp"

#include <algorithm>

#include "protocol/bounce/returned.hpp"
#include "server/await_store.hpp"
#include "server/delivery/ip.hpp"
#include "server/inbound/by_mail.hpp"
#include "server/inbound/replies.hpp"
#include "server/office/authors.hpp"

namespace spoold::server {

using What = smtp::ServerDialog::Action::What;

/// Strangers are those who come by SMTP: a front end that hands mail over by LMTP has seen the client, and users have logged in.
Intake::Verifies Intake::verifies(const conf::Smtp& smtp, const smtp::ServerDialog& dialog) {
  const bool strange = dialog.stranger() && !dialog.profile().lmtp && !dialog.profile().submission;
  if (smtp.dmarc == conf::Smtp::Dmarc::off)
    return strange && smtp.spf != conf::Smtp::Spf::off ? Verifies::all : Verifies::nothing;
  return strange ? Verifies::all : Verifies::posts;
}

Intake::Intake(Reception& reception, const Rules& rules, const smtp::ServerDialog& dialog, const Peer& peer,
               const std::shared_ptr<Screening>& screening, const std::unique_ptr<Filters>& filters,
               SessionLog& log, asio::any_io_executor executor)
    : reception_(reception),
      rules_(rules),
      dialog_(dialog),
      peer_(peer),
      screening_(screening),
      filters_(filters),
      log_(log),
      executor_(executor),
      content_(reception.store, std::move(executor), reception.memory),
      verifies_(verifies(rules.settings->smtp, dialog)) {}

Verification::Means Intake::means(bool whole) const {
  return {reception_.resolver, whole ? reception_.proofs.get() : nullptr, reception_.stats, reception_.memory,
          executor_};
}

// From the first recipient to the end of the transaction; of posts that are handed over, from the begin of the content.
void Intake::verify(smtp::ServerDialog::Action action) {
  const smtp::Transaction& transaction = dialog_.transaction();
  if (transaction.recipients.empty()) return verification_.reset();
  if (verifies_ == Verifies::posts) {
    if (!dialog_.receiving() && action.what != What::commit) return;
    if (!std::exchange(asked_lists_, true)) verify_post();
    if (!verification_) return;
  }
  if (!verification_) {
    Verification::Means means = this->means(rules_.settings->smtp.dmarc != conf::Smtp::Dmarc::off);
    auth::SpfQuery query{octets(peer_.address), std::string(dialog_.hello()), transaction.reverse_path,
                         rules_.settings->hostname, reception_.store.now()};
    verification_ = std::make_shared<Verification>(std::move(means), std::move(query));
    verification_->begin();
  }
  if (dialog_.receiving())
    verification_->content(content_.bytes(), dialog_.reader(), dialog_.transaction().recipients);
}

void Intake::verify_post() {
  const auto& recipients = dialog_.transaction().recipients;
  const auto may_be_post = [](const smtp::Recipient& one) {
    return one.is<smtp::to::Post>() || one.is<smtp::to::Alias>();
  };
  if (std::ranges::none_of(recipients, may_be_post)) return;
  const store::Read read(reception_.store);
  const auto asks = asks_of_author(read, rules_.addresses, dialog_.transaction());
  if (asks == list::AsksOfAuthor::nothing) return;
  verification_ =
      std::make_shared<Verification>(means(true), reception_.store.now(), asks == list::AsksOfAuthor::policy,
                                     dialog_.transaction().reverse_path);
}

void Intake::follow(smtp::ServerDialog::Action action) {
  if (verifies_ != Verifies::nothing) verify(action);
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
  if (!staging_failed_) {
    const bool full = content_.full(dialog_.reader().header_size());
    if (!content_.too_much()) return full;
    ++reception_.stats.memory_refused;
    staging_failed_ = no_memory();
    forget();
  }
  content_.bytes().clear();  // the rest of the message is only read to its end
  return false;
}

Awaitable<> Intake::make_room() {
  announced_.reset();  // a large message takes its time: nobody is to wait for it
  store::Result<void> room = co_await content_.room(dialog_.reader().header_size());
  if (!room) staging_failed_ = reply_of(room.error());
}

void Intake::forget() {
  content_.forget();
  if (filters_) filters_->forget();
  announced_.reset();
}

std::vector<smtp::Reply> Intake::refuse_all(const smtp::Reply& reply) {
  const smtp::Transaction& transaction = dialog_.transaction();
  log_.refused(transaction.reverse_path, "", reply);
  return std::vector<smtp::Reply>(dialog_.profile().lmtp ? transaction.recipients.size() : 1, reply);
}

Awaitable<std::vector<smtp::Reply>> Intake::commit() {
  // An error while slices were staged is answered now: the client heard nothing before the end of its data.
  if (const auto failed = std::exchange(staging_failed_, std::nullopt)) co_return refuse_all(*failed);
  if (verification_)
    verification_->content(content_.bytes(), dialog_.reader(), dialog_.transaction().recipients);
  store::Result<store::ContentSource> source = co_await content_.finish(dialog_.reader().size());
  if (!source) co_return refuse_all(source.error());

  auth::Verified* verified = nullptr;
  auth::Verified of_client;  // where neither SPF nor DMARC is asked
  if (verification_) {
    announced_.reset();  // it may wait for the DNS: nobody is to wait for it
    verified = co_await verification_->result(dialog_.transaction().recipients);
  } else if (screening_) {
    verified = &of_client;
    of_client.client = peer_.host;
  }
  if (verified != nullptr && !verified->handed_over) {
    if (screening_) screening_->mark(*verified);
    if (auto refusal = refused_by_policy(*verified))
      co_return std::vector<smtp::Reply>(1, *std::move(refusal));
  }
  if (auto later = greylisted(verified)) co_return std::vector<smtp::Reply>(1, *std::move(later));
  const smtp::DataReader& reader = dialog_.reader();
  Subject subject;
  subject.source = *source;
  subject.header = content_.header(*source).substr(0, static_cast<std::size_t>(reader.header_size()));
  subject.scanned = reader.scanned();
  subject.transaction = &dialog_.transaction();
  if (filters_) {
    announced_.reset();
    std::optional<smtp::Reply> refusal = co_await filter(subject, verified);
    if (refusal) co_return std::vector<smtp::Reply>(1, *std::move(refusal));
    if (!filters_->discarded_by().empty() || subject.transaction->recipients.empty()) {
      smtp::Reply noted = co_await discard();
      co_return std::vector<smtp::Reply>(1, noted);
    }
  }
  const smtp::Transaction& transaction = *subject.transaction;
  co_await look_at_returned(subject);
  Disposition disposition = decide(subject, verified);
  while (disposition.unnumbered) {
    auto begin = [this, list = *disposition.unnumbered](store::Callback<void> done) {
      reception_.store.post_numbers().lease(list, std::move(done));
    };
    store::Result<void> leased = co_await await_store<void>(executor_, std::move(begin));
    if (!leased) co_return refuse_all(leased.error());
    disposition = decide(subject, verified);
  }
  for (std::size_t i = 0; i < disposition.fates.size(); ++i) {
    const auto& refusal = disposition.fates[i].refusal;
    if (!refusal) continue;
    if (refusal->code == 452) ++reception_.stats.room_refused;  // too many posts wait for moderators
    log_.refused(transaction.reverse_path, transaction.recipients[i].address, *refusal);
  }
  if (!disposition.moderations.empty()) {
    store::Result<void> done =
        co_await moderate_by_mail(executor_, reception_, *rules_.settings, disposition.moderations);
    if (!done) co_return refuse_all(done.error());
  }
  store::Accepted accepted;
  // Where all are refused the reply says so, and the history has nothing to add.
  if (!disposition.all_refused()) {
    auto start = [this, &disposition](store::Callback<store::Accepted> done) {
      reception_.store.accept(std::move(disposition.acceptance), std::move(done));
      announced_.reset();
    };
    store::Result<store::Accepted> stored =
        co_await await_store<store::Accepted>(executor_, std::move(start));
    if (!stored) co_return refuse_all(stored.error());
    accepted = std::move(*stored);
    const std::string auth = verified == nullptr ? std::string() : auth::summary(*verified);
    log_.accepted(accepted, transaction.reverse_path, dialog_.tls(), dialog_.user(), auth);
    if (!accepted.ids.empty() || !accepted.held.empty()) {
      // Before forget(), which abandons what was staged.
      if (subject.filtered != nullptr && subject.filtered->changed())
        filters_->filtered()->accepted();
      else
        content_.accepted();
      reception_.wake(accepted.routes);
    }
  }
  co_return replies_of(disposition, accepted, dialog_.profile().lmtp);
}

// Only of what is in memory: a report is small.
Awaitable<> Intake::look_at_returned(Subject& subject) {
  const auto is_bounce = [](const smtp::Recipient& one) { return one.is<smtp::to::Bounce>(); };
  if (!rules_.keys || !subject.source.bytes || reception_.proofs == nullptr ||
      std::ranges::none_of(subject.transaction->recipients, is_bounce))
    co_return;
  const std::string text = bounce::returned_header(*subject.source.bytes);
  const auto header = mail::Header::scan(text);
  if (!header) co_return;
  auto copy = auth::dkim2_returned(header->fields());
  if (!copy) co_return;
  auto work = [keys = rules_.keys, copy = *copy] { return keys->verifies(copy); };
  const std::optional<bool> unknown;
  const std::optional<bool> holds = co_await reception_.proofs->run(executor_, std::move(work), unknown);
  if (!holds) co_return;
  Returned returned;
  returned.copy = *std::move(copy);
  returned.holds = *holds;
  subject.returned = std::move(returned);
}

std::optional<smtp::Reply> Intake::refused_by_policy(const auth::Verified& verified) {
  auto refusal = auth::refusal(verified, rules_.settings->smtp);
  if (!refusal) return {};
  Stats& stats = reception_.stats;
  ++(refusal->by == auth::Refusal::By::spf     ? stats.spf_refused
     : refusal->by == auth::Refusal::By::dmarc ? stats.dmarc_refused
                                               : stats.dkim2_refused);
  log_.refused(dialog_.transaction().reverse_path, "", refusal->reply);
  return std::move(refusal->reply);
}

// Not what answers our own mail: bounces come to addresses that are signed.
std::optional<smtp::Reply> Intake::greylisted(const auth::Verified* verified) {
  const conf::Smtp& smtp = rules_.settings->smtp;
  const smtp::ServerProfile& profile = dialog_.profile();
  if (smtp.greylist.count() == 0 || !dialog_.stranger() || profile.lmtp || profile.submission) return {};
  if (screening_ && screening_->is_good()) return {};
  const smtp::Transaction& transaction = dialog_.transaction();
  const auto is_answer = [](const smtp::Recipient& one) {
    return one.is<smtp::to::Bounce>() || one.is<smtp::to::Probe>();
  };
  if (std::ranges::all_of(transaction.recipients, is_answer)) return {};
  const std::string who = Greylist::who(verified, octets(peer_.address));
  const auto wait =
      reception_.greylist.wait(who, transaction.reverse_path, transaction.recipients.front().address,
                               smtp.greylist, Greylist::Clock::now());
  if (!wait) return {};
  ++reception_.stats.greylisted;
  smtp::Reply reply{451,
                    {4, 7, 1},
                    "greylisted: mail of " + who + " is not known here yet; try again in " +
                        std::to_string(std::chrono::ceil<std::chrono::seconds>(*wait).count()) +
                        " s, as mail servers do"};
  log_.refused(transaction.reverse_path, transaction.recipients.front().address, reply);
  return reply;
}

Disposition Intake::decide(const Subject& subject, const auth::Verified* verified) const {
  const bool changed = subject.filtered != nullptr && subject.filtered->changed();
  const std::string network = dialog_.stranger() && !peer_.unix_socket
                                  ? Greylist::who(nullptr, octets(peer_.address))
                                  : std::string();
  Arrival arrival{.transaction = *subject.transaction,
                  .header = subject.header,
                  .content = subject.source,
                  .scanned = subject.scanned,
                  .client = client_text(dialog_.hello(), peer_.literal()),
                  .protocol = dialog_.protocol(),
                  .tls = dialog_.tls(),
                  .at = reception_.store.now(),
                  .one_reply = !dialog_.profile().lmtp,
                  .numbers = &reception_.store.post_numbers(),
                  .addresses = &rules_.addresses,
                  .may_relay = dialog_.may_relay(),
                  .user = dialog_.user(),
                  .verified = verified,
                  .vouched = dialog_.may_relay(),
                  .pace = &reception_.pace,
                  .network = network,
                  .id = subject.id,
                  .quarantine = subject.filtered != nullptr ? subject.filtered->quarantined() : std::string(),
                  .rewritten = changed,
                  .holds = subject.altered ? &*subject.altered : nullptr,
                  .returned = subject.returned ? &*subject.returned : nullptr};
  return dispose(*rules_.settings, reception_.store, std::move(arrival));
}

}  // namespace spoold::server
