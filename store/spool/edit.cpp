#include "store/spool/edit.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "protocol/mail/mailbox.hpp"
#include "store/spool/due.hpp"
#include "store/spool/finish.hpp"
#include "store/spool/history.hpp"
#include "store/spool/numbers.hpp"
#include "store/spool/report.hpp"
#include "store/spool/spool.hpp"

namespace spoold::store::spool {
namespace {

using Kind = Error::Kind;
using How = Edited::How;

/// What the sender reads in the place of a reply of the next hop, with the last one that was heard.
LastReply bounced(const std::optional<LastReply>& last, TimePoint now) {
  LastReply given;
  given.reply = {0, {5, 0, 0}, "an operator of this server ended the delivery"};
  if (last) given.reply.text += "; the last answer was: " + last->reply.oneline();
  given.at = now;
  return given;
}

void remember(std::vector<std::string>& routes, const std::string& route) {
  if (std::find(routes.begin(), routes.end(), route) == routes.end()) routes.push_back(route);
}

tl::unexpected<Error> no_message(Id id) {
  return fail(Kind::not_found, "there is no message " + id_text(id));
}

class Editing {
 public:
  Editing(Write& write, MessageRow& message, const std::string& who, const RouteOf& route)
      : write_(write),
        message_(message),
        route_(route),
        times_(write, message.id),
        requests_(write, message) {
    event_.at = write.now();
    event_.message = message.id;
    event_.event = "edited";
    event_.who = who;
    event_.list = message.list;
  }

  Edited apply(const Edit& e) {
    if (e.what == Edit::What::add) return add(e.address);
    if (e.number >= message_.numbers()) return {How::not_found, RecipientState::removed, e.number, {}};
    Numbers numbers(write_, message_, e.number, 1);
    RecipientRow row = numbers.row_or_new(e.number);
    const auto claim = covering_claim(write_, message_.id, numbers, e.number);
    const bool active = claim.has_value();
    // As everybody sees it, the message's own state laid over its row: what the counts hold.
    const RecipientState before = effective(message_, e.number, numbers.stored(e.number), active);
    const auto as_it_is = [&](How how) { return Edited{how, before, e.number, {}}; };
    // An outcome is final, also when the message was given up around it.
    if (numbers.finished(e.number) || before == RecipientState::removed) return as_it_is(How::finished);
    // Facts beat wishes: a copy may be on the wire. The lane must give back just this claim; an earlier one that it gave
    // back says nothing about the copy that is on the wire now.
    if (active && e.withdrawn != claim->due) return {How::claimed, before, e.number, claim->due};
    // What is still on the wire of a removed message comes to its outcome; nothing is made due again.
    if (message_.giving_up && e.what != Edit::What::remove) return as_it_is(How::finished);
    std::optional<Edited> replacement;
    switch (e.what) {
      case Edit::What::remove:
        row.state = RecipientState::removed;
        break;
      case Edit::What::bounce:
        row.state = RecipientState::failed;
        row.last = bounced(row.last, write_.now());
        row.report = to_report(message_, requests_.of(e.number), row.state, smtp::DsnAction::none);
        reports_ = reports_ || row.report != smtp::DsnAction::none;
        break;
      case Edit::What::hold:
        row.state = RecipientState::held;
        break;
      case Edit::What::replace:
        // First the new one: when it is a recipient already, or cannot be added, the old one stays.
        replacement = add(e.address);
        if (replacement->how != How::done) return *replacement;
        row.state = RecipientState::removed;
        break;
      case Edit::What::isolate:
        row.isolate = true;
        break;
      case Edit::What::release:  // both below: they depend on what holds the recipient
      case Edit::What::retry:
      case Edit::What::add:  // above
        break;
    }
    // Held as part of the message: only a release of the message ends that, not one of a recipient.
    const bool overlaid =
        effective(message_, e.number, RecipientState::queued, false) == RecipientState::held;
    const bool go = e.what == Edit::What::release || e.what == Edit::What::retry;
    if (go && overlaid) return as_it_is(How::held);
    // A retry is not a release: an operator who holds somebody must not lose that to `retry '*'`.
    if (e.what == Edit::What::retry && row.state == RecipientState::held) return as_it_is(How::held);
    if (e.what == Edit::What::release && row.state != RecipientState::held) return as_it_is(How::done);
    if (go && row.state == RecipientState::held)
      row.state = row.attempts > 0 ? RecipientState::deferred : RecipientState::queued;
    const std::string address = address_of(e.number, row);
    // The row gets a time that only its own new entry has; or, when it is not due, none that a claim has: so whatever
    // covered the number until now does so no more (README, "Who is covered by what").
    if (is_waiting(row.state) && !overlaid)
      row.next = make_due(e.number, address);
    else
      row.next = times_.from({}, write_.now());
    // The outcome of an attempt that was made before this edit is late from now on.
    ++row.version;
    if (active) uncover(*claim);
    const RecipientState after = effective(message_, e.number, row.state, false);
    recount(message_, before, after);
    note(e, e.number, address);
    numbers.put(write_, e.number, std::move(row));
    if (replacement) return *replacement;
    return {How::done, after, e.number, {}};
  }

  void finish(Duration report_wait) {
    // Before finish_if_done(): a finished message with a report due keeps its content until the report is made.
    if (reports_) report_by(write_, message_, write_.now() + report_wait);
    if (!event_.recipients.empty()) add_history(write_, event_);
    if (!finish_if_done(write_, message_)) put_message(write_, message_);
  }
  std::vector<std::string> routes;

 private:
  Edited add(const std::string& given) {
    if (message_.giving_up) return {How::finished, RecipientState::removed, 0, {}};
    const auto mailbox = Mailbox::parse(given, Mailbox::Allow::utf8);  // edit() has seen that it is one
    const std::string address = mailbox->text();
    if (const auto there = open_one(mailbox->key())) return *there;
    const std::uint32_t number = message_.numbers();
    // Counted as queued first: recount() then moves it to what the message's state makes of it.
    ++message_.added;
    ++message_.counts.queued;
    RecipientRow row;
    row.address = address;
    row.next = message_.state == MessageState::held ? write_.now() : make_due(number, address);
    const RecipientState state = effective(message_, number, row.state, false);
    recount(message_, RecipientState::queued, state);
    put_recipient(write_, message_.id, number, row);
    added_->emplace(mailbox->key(), number);
    note({.what = Edit::What::add, .number = number, .address = address}, number, address);
    return {How::done, state, number, {}};
  }

  /// The open recipient that has this address already. Those that were added are looked up in one pass over their
  /// rows, however many edits ask.
  std::optional<Edited> open_one(const std::string& key) {
    if (!added_) {
      added_.emplace();
      each_added(write_, message_, [this](std::uint32_t number, const RecipientRow& row) {
        if (const auto mailbox = Mailbox::parse(row.address, Mailbox::Allow::utf8))
          added_->emplace(mailbox->key(), number);
      });
    }
    std::vector<std::uint32_t> found = find_originals(write_, message_, key);
    for (auto [at, end] = added_->equal_range(key); at != end; ++at) found.push_back(at->second);
    for (const std::uint32_t number : found) {
      const Numbers numbers(write_, message_, number, 1);
      const bool active = covering_claim(write_, message_.id, numbers, number).has_value();
      const RecipientState state = effective(message_, number, numbers.stored(number), active);
      if (is_open(state)) return Edited{How::exists, state, number, {}};
    }
    return std::nullopt;
  }

  std::string address_of(std::uint32_t number, const RecipientRow& row) const {
    if (!row.address.empty()) return row.address;
    std::string out;
    each_original(write_, message_, number, 1,
                  [&](std::uint32_t, const PageReader& at) { out = at.address(); });
    return out;
  }

  TimePoint make_due(std::uint32_t number, const std::string& address) {
    DueRow due{route_(domain_of(address)), write_.now(), message_.id, number, 1, message_.generation};
    remember(routes, due.route);
    return put_due_alone(write_, std::move(due), times_);
  }

  void uncover(ClaimRow claim) {
    --claim.left;
    put_claim(write_, claim);
  }

  void note(const Edit& e, std::uint32_t number, const std::string& address) {
    static constexpr const char* words[] = {"remove ", "add ",     "replace ", "isolate ",
                                            "hold ",   "release ", "retry ",   "bounce "};
    std::string text = words[static_cast<int>(e.what)] + address;
    if (e.what == Edit::What::replace) text += "=" + e.address;
    event_.recipients.emplace_back(number, std::move(text));
  }

  Write& write_;
  MessageRow& message_;
  const RouteOf& route_;
  FreeTimes times_;
  Requests requests_;
  bool reports_ = false;  // some of what was bounced is to be reported
  std::optional<std::multimap<std::string, std::uint32_t>> added_;  // by address key
  HistoryEvent event_;
};

}  // namespace

Result<EditResult> edit(Write& write, Id id, const std::vector<Edit>& edits, const std::string& who,
                        const RouteOf& route, Duration report_wait) {
  auto message = find_message(write, id);
  if (!message) return no_message(id);
  if (message->state == MessageState::finished)
    return fail(Kind::conflict,
                "message " + id_text(id) + " is finished: its recipients cannot be changed any more");
  for (const Edit& e : edits)
    if ((e.what == Edit::What::add || e.what == Edit::What::replace))
      if (const auto mailbox = Mailbox::parse(e.address, Mailbox::Allow::utf8); !mailbox)
        return fail(Kind::invalid, "'" + e.address + "' is not an address: " + mailbox.error());
  Editing editing(write, *message, who, route);
  EditResult result;
  for (const Edit& e : edits) result.edited.push_back(editing.apply(e));
  editing.finish(report_wait);
  result.routes = std::move(editing.routes);
  return result;
}

Result<void> edit_sender(Write& write, Id id, const std::string& reverse_path, const std::string& who) {
  auto message = find_message(write, id);
  if (!message) return no_message(id);
  if (message->state == MessageState::finished)
    return fail(Kind::conflict,
                "message " + id_text(id) + " is finished: its sender cannot be changed any more");
  if (message->copies == list::Copies::each_verp)
    return fail(Kind::conflict,
                "message " + id_text(id) + " has an envelope sender of its own for each recipient (VERP)");
  if (!reverse_path.empty())
    if (const auto mailbox = Mailbox::parse(reverse_path, Mailbox::Allow::utf8); !mailbox)
      return fail(Kind::invalid, "'" + reverse_path + "' is not an address: " + mailbox.error());
  HistoryEvent event;
  event.at = write.now();
  event.message = id;
  event.event = "edited";
  event.who = who;
  event.list = message->list;
  event.detail = "sender <" + message->reverse_path + "> became <" + reverse_path + ">";
  add_history(write, event);
  message->reverse_path = reverse_path;
  put_message(write, *message);
  return {};
}

}  // namespace spoold::store::spool
