#include "store/spool/settle.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "store/spool/due.hpp"
#include "store/spool/finish.hpp"
#include "store/spool/history.hpp"
#include "store/spool/numbers.hpp"
#include "store/spool/suspect.hpp"

namespace spoold::store::spool {
namespace {

RecipientState state_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::delivered:
      return RecipientState::delivered;
    case Verdict::failed:
      return RecipientState::failed;
    case Verdict::expired:
      return RecipientState::expired;
    case Verdict::deferred:
    case Verdict::released:
      break;
  }
  return RecipientState::deferred;
}

/// Events of one settle, those alike in one row.
class Events {
 public:
  Events(const Settlement& s, TimePoint now) : settlement_(s), now_(now) {}

  void add(const char* event, const Outcome& o, const std::string& detail = {}) {
    for (HistoryEvent& e : events_)
      if (e.event == event && e.detail == detail && e.last.remote == o.last.remote &&
          e.last.stage == o.last.stage && e.last.reply.code == o.last.reply.code &&
          e.last.reply.enhanced == o.last.reply.enhanced) {
        e.recipients.emplace_back(o.number,
                                  o.last.reply.text == e.last.reply.text ? std::string() : o.last.reply.text);
        return;
      }
    HistoryEvent& e = events_.emplace_back();
    e.at = now_;
    e.message = settlement_.message;
    e.event = event;
    e.route = settlement_.route;
    e.last = o.last;
    e.detail = detail;
    e.recipients.emplace_back(o.number, std::string());
  }
  void write(Write& write) {
    for (HistoryEvent& e : events_) {
      std::sort(e.recipients.begin(), e.recipients.end());
      add_history(write, e);
    }
  }

 private:
  const Settlement& settlement_;
  TimePoint now_;
  std::vector<HistoryEvent> events_;
};

class Settling {
 public:
  Settling(Write& write, const Settlement& s, MessageRow& message)
      : write_(write),
        settlement_(s),
        message_(message),
        claim_(find_claim(write, s.message, s.claim_first)),
        numbers_(write, message, s.claim_first, claim_ ? claim_->count : span(s)),
        events_(s, write.now()) {}

  Settled run() {
    for (std::size_t i = 0; i < settlement_.outcomes.size(); ++i) {
      const Outcome& o = settlement_.outcomes[i];
      if (o.number >= message_.numbers()) continue;
      const std::uint32_t version = i < settlement_.versions.size() ? settlement_.versions[i] : 0;
      const RecipientRow* row = numbers_.row(o.number);
      const bool ours =
          claim_ && numbers_.covered_at(o.number, claim_->due) && (row ? row->version : 0) == version;
      ours ? settle(o) : late(o);
    }
    Settled result = requeue();
    numbers_.flush(write_);
    events_.write(write_);
    if (claim_) claim_->left > 0 ? put_claim(write_, *claim_) : del_claim(write_, *claim_);
    result.finished = message_.state != MessageState::finished && finish_if_done(write_, message_);
    if (!result.finished) put_message(write_, message_);
    return result;
  }

 private:
  static std::uint32_t span(const Settlement& s) {
    std::uint32_t end = s.claim_first;
    for (const Outcome& o : s.outcomes) end = std::max(end, o.number + 1);
    return end - s.claim_first;
  }

  void settle(const Outcome& o) {
    --claim_->left;
    const bool has_row = numbers_.row(o.number) != nullptr;
    RecipientRow row = numbers_.row_or_new(o.number);
    const RecipientState from = row.state;
    if (o.charged && o.verdict != Verdict::released) ++row.attempts;
    switch (o.verdict) {
      case Verdict::delivered:
        events_.add("delivered", o);
        recount(message_.counts, from, RecipientState::delivered);
        if (!has_row) return numbers_.set_done(o.number);
        break;
      case Verdict::failed:
        events_.add("failed", o);
        break;
      case Verdict::expired:
        events_.add("expired", o);
        break;
      case Verdict::deferred:
      case Verdict::released:
        if (o.verdict == Verdict::deferred) events_.add("deferred", o);
        return back(o, std::move(row), has_row);
    }
    row.state = state_of(o.verdict);
    row.last = o.last;
    if (o.verdict != Verdict::delivered) recount(message_.counts, from, row.state);
    numbers_.put(write_, o.number, std::move(row));
  }

  /// Deferred or released: due again, unless the message is held or given up meanwhile, or the settle itself
  /// holds it.
  void back(const Outcome& o, RecipientRow row, bool has_row) {
    const RecipientState from = row.state;
    if (o.verdict == Verdict::deferred) {
      row.state = RecipientState::deferred;
      row.last = o.last;
    } else if (!o.last.reply.text.empty() && has_row) {
      row.last = o.last;
    }
    if (settlement_.hold) {
      row.state = RecipientState::held;
      if (!o.last.reply.text.empty()) row.last = o.last;
      events_.add("held", o, "its content seems to end connections");
    }
    const RecipientState to = effective(message_, o.number, row.state, false);
    recount(message_.counts, from, to);
    const bool due = to == RecipientState::queued || to == RecipientState::deferred;
    again_.push_back(
        {o.number, o.next_attempt, due, has_row || o.verdict == Verdict::deferred || settlement_.hold});
    rows_[o.number] = std::move(row);
  }

  /// Of a recipient that its claim does not cover any more: it was edited, or settled already.
  void late(const Outcome& o) {
    Numbers other(write_, message_, o.number, 1);
    Numbers& numbers =
        o.number - settlement_.claim_first < (claim_ ? claim_->count : span(settlement_)) ? numbers_ : other;
    if (o.verdict != Verdict::delivered) {
      if (o.verdict != Verdict::released) events_.add(text(state_of(o.verdict)), o, "late: edited meanwhile");
      return;
    }
    RecipientRow row = numbers.row_or_new(o.number);
    if (numbers.stored(o.number) == RecipientState::delivered) return;
    events_.add("delivered", o, "late");
    // It may be covered by another claim by now (edited, due again, claimed again).
    const auto claim = claim_around(write_, message_.id, o.number);
    const bool active = claim && numbers.covered_at(o.number, claim->due);
    recount(message_.counts, effective(message_, o.number, row.state, active), RecipientState::delivered);
    if (active && claim_ && claim->first == claim_->first) {
      --claim_->left;
    } else if (active) {
      ClaimRow less = *claim;
      if (--less.left > 0)
        put_claim(write_, less);
      else
        del_claim(write_, less);
    }
    row.state = RecipientState::delivered;
    row.last = o.last;
    ++row.attempts;
    numbers.put(write_, o.number, std::move(row));
  }

  /// Writes the due entries of those that go back. Neighbours with the same time share one when all between
  /// are finished.
  Settled requeue() {
    Settled result;
    if (again_.empty()) return result;
    std::sort(again_.begin(), again_.end(), [](const Back& a, const Back& b) { return a.number < b.number; });
    // A claim that goes on still spans its numbers, and a release in slices will yet pass: both would cover a
    // recipient without a row a second time.
    const bool rows_needed = claim_->left > 0 || message_.held_from > 0;
    std::map<TimePoint, TimePoint> times;  // wished, free
    for (Back& b : again_) {
      if (b.due) {
        const auto [at, fresh] = times.try_emplace(b.next);
        if (fresh) at->second = free_time(write_, settlement_.route, b.next, message_.id, claim_->due);
        b.next = at->second;
        if (result.next_due == TimePoint{} || b.next < result.next_due) result.next_due = b.next;
      }
      if (b.next == claim_->due)
        b.next += Duration(1);  // a row with the claim's time would still be covered by it
      RecipientRow& row = rows_[b.number];
      row.next = b.next;
      if (b.row || rows_needed || !b.due) {
        // Held or given up as a whole, one without anything to tell needs no row.
        if (!b.due && !b.row && !rows_needed) continue;
        numbers_.put(write_, b.number, row);
      }
    }
    for (const auto& [wished, at] : times) {
      DueRow entry{settlement_.route, at, message_.id, 0, 0, message_.generation};
      for (const Back& b : again_) {
        if (!b.due || b.next != at) continue;
        if (entry.count > 0 && joins(entry.first + entry.count, b.number)) {
          entry.count = b.number - entry.first + 1;
          continue;
        }
        if (entry.count > 0) put_due(write_, entry);
        entry.first = b.number;
        entry.count = 1;
      }
      if (entry.count > 0) put_due(write_, entry);
    }
    return result;
  }

  bool joins(std::uint32_t from, std::uint32_t to) const {
    for (; from < to; ++from)
      if (!numbers_.finished(from)) return false;
    return true;
  }

  struct Back {
    std::uint32_t number;
    TimePoint next;
    bool due;  // else held or given up
    bool row;  // has something to tell
  };
  Write& write_;
  const Settlement& settlement_;
  MessageRow& message_;
  std::optional<ClaimRow> claim_;
  Numbers numbers_;
  Events events_;
  std::vector<Back> again_;
  std::map<std::uint32_t, RecipientRow> rows_;
};

}  // namespace

Settled settle(Write& write, const Settlement& s) {
  for (const Suspect& suspect : s.suspects) put_suspect(write, suspect);
  for (const std::string& address : s.forgotten) del_suspect(write, s.route, address);
  if (s.outcomes.empty()) return {};
  auto message = find_message(write, s.message);
  if (!message) {
    Settled gone;
    gone.finished = true;
    return gone;
  }
  return Settling(write, s, *message).run();
}

bool hold_route(Write& write, Id id, std::string_view route, const LastReply& why) {
  constexpr std::uint32_t recipients_at_once = 2000;
  constexpr std::size_t entries_at_once = 50'000;
  auto message = find_message(write, id);
  if (!message || message->state == MessageState::finished || message->giving_up) return true;
  std::vector<DueRow> mine;
  std::uint32_t found = 0;
  bool all = true;
  {
    const Key prefix = Key().str(route);
    Cursor c = write.cursor(Table::due);
    std::size_t seen = 0;
    for (bool more = c.seek(prefix); more && c.at(prefix); more = c.next()) {
      DueRow entry = unpack_due(c.key(), c.value());
      if (entry.message != id || entry.generation != message->generation) {
        if (++seen < entries_at_once) continue;
        break;
      }
      if (found >= recipients_at_once) {
        all = false;
        break;
      }
      found += entry.count;
      mine.push_back(std::move(entry));
    }
  }
  std::uint32_t budget = recipients_at_once;
  for (DueRow& entry : mine) {
    write.del(Table::due, due_key(entry));
    const std::uint32_t count = std::min(entry.count, budget);
    Numbers numbers(write, *message, entry.first, count);
    HistoryEvent event{.at = write.now(),
                       .message = id,
                       .event = "held",
                       .route = std::string(route),
                       .who = {},
                       .recipients = {},
                       .last = why,
                       .address = {},
                       .detail = "its content seems to end connections",
                       .list = message->list};
    for (std::uint32_t number = entry.first; number - entry.first < count; ++number) {
      if (!numbers.covered_at(number, entry.at)) continue;
      RecipientRow row = numbers.row_or_new(number);
      recount(message->counts, effective(*message, number, row.state, false),
              effective(*message, number, RecipientState::held, false));
      row.state = RecipientState::held;
      numbers.put(write, number, std::move(row));
      event.recipients.emplace_back(number, std::string());
    }
    if (!event.recipients.empty()) add_history(write, event);
    budget -= count;
    if (count == entry.count) continue;
    all = false;
    entry.first += count;
    entry.count -= count;
    put_due(write, entry);
    if (budget == 0) break;
  }
  put_message(write, *message);
  return all;
}

}  // namespace spoold::store::spool
