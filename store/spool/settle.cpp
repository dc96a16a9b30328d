#include "store/spool/settle.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "store/spool/due.hpp"
#include "store/spool/finish.hpp"
#include "store/spool/history.hpp"
#include "store/spool/hold.hpp"
#include "store/spool/host.hpp"
#include "store/spool/numbers.hpp"
#include "store/spool/report.hpp"
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

/// Events of one settle. Recipients that got the same answer share a row of history: a post to 500 members of one host is
/// one row, not 500.
class Events {
 public:
  Events(const Settlement& s, TimePoint now) : settlement_(s), now_(now) {}

  void add(const char* event, const Outcome& o, const std::string& detail = {}) {
    for (HistoryEvent& e : events_)
      if (e.event == event && e.detail == detail && e.last.remote == o.last.remote &&
          e.last.tls == o.last.tls && e.last.stage == o.last.stage &&
          e.last.reply.code == o.last.reply.code && e.last.reply.enhanced == o.last.reply.enhanced) {
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
  Settling(Write& write, const Settlement& s, MessageRow& message, Duration report_wait, Failures* failures)
      : write_(write),
        settlement_(s),
        message_(message),
        report_wait_(report_wait),
        failures_(message.list != 0 ? failures : nullptr),
        requests_(write, message),
        claims_(claims_from(write, s.message, s.claim_first, s.claim_first)),
        count_(span(s, claims_)),
        numbers_(write, message, s.claim_first, count_),
        events_(s, write.now()) {}

  Settled run() {
    for (std::size_t i = 0; i < settlement_.outcomes.size(); ++i) {
      const Outcome& o = settlement_.outcomes[i];
      if (o.number >= message_.numbers()) continue;
      const std::uint32_t version = i < settlement_.versions.size() ? settlement_.versions[i] : 0;
      const RecipientRow* row = numbers_.row(o.number);
      ClaimRow* claim = covering(o.number);
      // An edit raises the version: the outcome is then that of an attempt which nobody wants any more. What the next hop
      // answered stays true all the same (late()).
      if (claim && (row ? row->version : 0) == version)
        settle(o, *claim);
      else
        late(o);
    }
    // After all outcomes: whether those that go back need rows depends on what the claims still cover then.
    Settled result = requeue();
    numbers_.flush(write_);
    events_.write(write_);
    for (const ClaimRow& claim : claims_) put_claim(write_, claim);
    // Before finish_if_done(): a finished message with a report due keeps its content until the report is made.
    if (reports_) report_by(write_, message_, write_.now() + report_wait_);
    result.report_due = message_.report_at != TimePoint{};
    result.finished = message_.state != MessageState::finished && finish_if_done(write_, message_);
    if (!result.finished) put_message(write_, message_);
    if (failures_ != nullptr && !failures_->all.empty()) failures_->message = message_;
    return result;
  }

 private:
  /// How many numbers to load: those that the claims span. Without a claim (all of it was edited or settled) those of the
  /// outcomes, for late().
  static std::uint32_t span(const Settlement& s, const std::vector<ClaimRow>& claims) {
    std::uint32_t count = 0;
    for (const ClaimRow& claim : claims) count = std::max(count, claim.count);
    if (!claims.empty()) return count;
    for (const Outcome& o : s.outcomes)
      if (o.number >= s.claim_first)
        count = std::max(count, std::min(o.number - s.claim_first, longest_claim) + 1);
    return count;
  }

  /// Of the claims that begin where the settled one did (mostly just that one).
  ClaimRow* covering(std::uint32_t number) {
    for (ClaimRow& claim : claims_)
      if (number - claim.first < claim.count && numbers_.covered_at(number, claim.due)) return &claim;
    return nullptr;
  }

  void settle(const Outcome& o, ClaimRow& claim) {
    --claim.left;
    const bool has_row = numbers_.row(o.number) != nullptr;
    RecipientRow row = numbers_.row_or_new(o.number);
    const RecipientState from = row.state;
    if (o.charged && o.verdict != Verdict::released) ++row.attempts;
    row.possible_duplicate = row.possible_duplicate || o.possible_duplicate;
    switch (o.verdict) {
      case Verdict::delivered:
        events_.add("delivered", o);
        recount(message_, from, RecipientState::delivered);
        // A delivery with nothing to tell is one bit: the normal case of a large post.
        if (!has_row && !o.possible_duplicate && report_of(o) == smtp::DsnAction::none)
          return numbers_.set_done(o.number);
        break;
      case Verdict::failed:
        events_.add("failed", o);
        break;
      case Verdict::expired:
        events_.add("expired", o);
        break;
      case Verdict::deferred:
      case Verdict::released:
        // Released: no attempt was made of which history should tell.
        if (o.verdict == Verdict::deferred) events_.add("deferred", o);
        return back(o, std::move(row), has_row);
    }
    row.state = state_of(o.verdict);
    row.last = o.last;
    row.report = report_of(o);
    if (failures_ != nullptr && o.verdict != Verdict::delivered) failed(o, row);
    reports_ = reports_ || row.report != smtp::DsnAction::none;
    if (o.verdict != Verdict::delivered) recount(message_, from, row.state);
    numbers_.put(write_, o.number, std::move(row));
  }

  void failed(const Outcome& o, const RecipientRow& row) {
    Failures::One one{row.address, row.member, o};
    if (one.address.empty())
      each_original(write_, message_, o.number, 1, [&](std::uint32_t, const PageReader& at) {
        one.address = at.address();
        one.member = at.member;
      });
    failures_->all.push_back(std::move(one));
  }

  smtp::DsnAction report_of(const Outcome& o) {
    if (!has_reports(message_)) return smtp::DsnAction::none;
    // A next hop that reports deliveries itself (RFC 3461) leaves nothing for us to report.
    const auto& untold = settlement_.untold;
    if (o.verdict == Verdict::delivered && std::find(untold.begin(), untold.end(), o.number) == untold.end())
      return smtp::DsnAction::none;
    return to_report(message_, requests_.of(o.number), state_of(o.verdict), settlement_.untold_as);
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
    // Counted as what it is from now on, without its claim: the message as a whole may be held or given up since.
    const RecipientState to = effective(message_, o.number, row.state, false);
    recount(message_, from, to);
    const bool due = is_waiting(to);
    const bool row_needed =
        has_row || o.verdict == Verdict::deferred || o.possible_duplicate || settlement_.hold;
    again_.push_back({o.number, o.next_attempt, due, row_needed});
    rows_[o.number] = std::move(row);
  }

  /// Of a recipient that its claim does not cover any more: it was edited, or settled already.
  void late(const Outcome& o) {
    Numbers other(write_, message_, o.number, 1);
    Numbers& numbers = o.number - settlement_.claim_first < count_ ? numbers_ : other;
    // A failure of an attempt that was edited away changes nothing: the edit decided. A copy that arrived is a fact.
    if (o.verdict != Verdict::delivered) {
      if (o.verdict != Verdict::released) events_.add(text(state_of(o.verdict)), o, "late: edited meanwhile");
      return;
    }
    RecipientRow row = numbers.row_or_new(o.number);
    if (numbers.stored(o.number) == RecipientState::delivered) return;
    events_.add("delivered", o, "late");
    // It may be covered by another claim by now (edited, due again, claimed again).
    bool active = false;
    if (ClaimRow* own = covering(o.number)) {
      active = true;
      --own->left;
    } else if (auto claim = covering_claim(write_, message_.id, numbers, o.number)) {
      active = true;
      --claim->left;
      put_claim(write_, *claim);
    }
    recount(message_, effective(message_, o.number, row.state, active), RecipientState::delivered);
    row.state = RecipientState::delivered;
    row.last = o.last;
    row.possible_duplicate = row.possible_duplicate || o.possible_duplicate;
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
    const bool rows_needed =
        message_.held_from > 0 ||
        std::any_of(claims_.begin(), claims_.end(), [](const ClaimRow& c) { return c.left > 0; });
    FreeTimes free(write_, message_.id);
    std::map<TimePoint, TimePoint> times;  // wished, free
    for (Back& b : again_) {
      // One wished time is one free time for all of this settle: so they can share an entry.
      if (b.due) {
        const auto [at, fresh] = times.try_emplace(b.next);
        if (fresh) at->second = free.from(settlement_.route, b.next);
        b.next = at->second;
        if (result.next_due == TimePoint{} || b.next < result.next_due) result.next_due = b.next;
      }
      if (!b.due) b.next = free.from(settlement_.route, b.next);
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
  const Duration report_wait_;
  Failures* const failures_;  // absent: nobody counts them
  Requests requests_;
  bool reports_ = false;  // some of the outcomes are to be reported
  std::vector<ClaimRow> claims_;
  std::uint32_t count_;
  Numbers numbers_;
  Events events_;
  std::vector<Back> again_;
  std::map<std::uint32_t, RecipientRow> rows_;
};

}  // namespace

Settled settle(Write& write, const Settlement& s, Duration report_wait, Failures* failures) {
  // What was learned of hosts and suspects is true whatever became of the message.
  for (const Suspect& suspect : s.suspects) put_suspect(write, suspect);
  for (const std::string& address : s.forgotten) del_suspect(write, s.route, address);
  if (s.host) put_host(write, s.route, *s.host);
  if (s.outcomes.empty() && !s.hold) return {};
  auto message = find_message(write, s.message);
  // Before the outcomes: they go back as held, and the work that is left here holds what else waits of the message on this route.
  if (message && s.hold)
    leave_hold(write, *message, s.route, s.outcomes.empty() ? LastReply{} : s.outcomes.front().last);
  if (s.outcomes.empty()) return {};
  if (!message) {
    Settled gone;
    gone.finished = true;
    return gone;
  }
  return Settling(write, s, *message, report_wait, failures).run();
}

}  // namespace spoold::store::spool
