// A message between its filters and its acceptance.
#include "protocol/auth/alignment.hpp"
#include "protocol/auth/results.hpp"
#include "server/await_store.hpp"
#include "server/inbound/intake.hpp"
#include "server/log.hpp"

namespace spoold::server {

// Fields of our name go before filters add theirs (office/drafts.cpp does the same where nobody has rewritten the header).
Awaitable<std::optional<smtp::Reply>> Intake::filter(Subject& subject, const auth::Verified* verified) {
  subject.id = reception_.store.new_id();
  const bool shown = verified != nullptr && !verified->handed_over;
  const bool strange = !dialog_.may_relay() && dialog_.user().empty();
  const Filtered::Unwanted unwanted = shown || strange ? &auth::claims : nullptr;
  std::optional<smtp::Reply> refusal =
      co_await filters_->content(subject.id, subject.source, subject.header, subject.scanned, unwanted);
  if (refusal) co_return refusal;
  subject.filtered = filters_->filtered();
  if (subject.filtered == nullptr) co_return refusal;
  subject.transaction = &subject.filtered->transaction();
  if (!subject.filtered->changed()) co_return refusal;
  subject.source = subject.filtered->source();
  subject.scanned = subject.filtered->scanned();
  subject.header = subject.filtered->bytes().substr(0, static_cast<std::size_t>(subject.scanned.header_size));
  if (verified == nullptr) co_return refusal;
  const auto now = mail::Header::scan(subject.header);
  if (now)
    subject.altered =
        auth::after_changes(*verified, subject.filtered->received(), *now, subject.filtered->body_changed());
  co_return refusal;
}

// The client is told that all is well, as the filter wishes; the history and the log tell what became of the message.
Awaitable<smtp::Reply> Intake::discard() {
  const std::string& from = dialog_.transaction().reverse_path;
  const std::string& by = filters_->discarded_by();
  const std::string client = peer_.text();
  const std::string why =
      by.empty() ? std::string("filters have removed all recipients") : "discarded by a filter";
  std::vector<log::Field> fields;
  fields.emplace_back("milter", by);
  fields.emplace_back("from", from);
  fields.emplace_back("reply", why);
  fields.emplace_back("client", client);
  log::event(log::Level::info, "milter", std::span<const log::Field>(fields).subspan(by.empty() ? 1 : 0));
  store::Acceptance nothing;
  store::HistoryEvent& event = nothing.events.emplace_back();
  event.at = reception_.store.now();
  event.event = "discarded";
  event.address = from;
  event.detail = by.empty() ? why : why + ": " + by;
  event.detail += "; to " + dialog_.transaction().recipients.front().address;
  if (const std::size_t more = dialog_.transaction().recipients.size() - 1; more > 0)
    event.detail += " and " + std::to_string(more) + " more";
  auto start = [this, &nothing](store::Callback<store::Accepted> done) {
    reception_.store.accept(std::move(nothing), std::move(done));
  };
  store::Result<store::Accepted> stored = co_await await_store<store::Accepted>(executor_, std::move(start));
  if (!stored) co_return refuse_all(stored.error()).front();
  smtp::Reply noted{250, {2, 0, 0}, "noted"};
  co_return noted;
}

}  // namespace spoold::server
