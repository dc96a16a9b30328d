// What an answered transaction means for each of its recipients (isolation.md I1: what was heard is kept).
#include <algorithm>
#include <string>
#include <utility>

#include "protocol/delivery/planner_state.hpp"

namespace spoold::delivery {
namespace {

constexpr std::uint8_t returned_at_most = 3;
// By any peer, before it hangs up on somebody for those of others.
constexpr std::uint32_t refusals_borne = 3;

bool skipped(const Observation& seen, std::uint32_t number) {
  return !seen.skipped.empty() && std::ranges::find(seen.skipped, number) != seen.skipped.end();
}

}  // namespace

/// A transaction whose replies are turned into outcomes, one stage after the other.
struct Planner::State::Reading {
  Connection& c;
  Flight& f;
  const Observation& seen;
  const Drop* const drop;
  const std::optional<std::size_t> parting;  // the refusal that may be the peer's last word
  const TimePoint now;
  Open open{};
  std::vector<Recipient*> too_many{};  // for this transaction
  bool certain = false;                // a reply says so by its status
  bool taken_behind = false;           // a recipient behind one of them was accepted

  /// A reply to the whole transaction is about its one recipient.
  bool alone() const { return f.recipients.size() == 1; }
  /// Refused because of what went before on the wire, not because of this mail.
  bool out_of_order(const smtp::Reply& reply) const {
    return f.overlap && (reply.code == 500 || reply.code == 501 || reply.code == 503 || reply.code == 554);
  }
};

Flight Planner::State::take_flight(Connection& c, const Observation& seen) {
  for (auto f = c.flights.begin(); f != c.flights.end(); ++f) {
    if (f->work->id != seen.message || f->recipients.empty() || seen.recipients.empty() ||
        f->recipients.front()->number != seen.recipients.front())
      continue;
    Flight taken = std::move(*f);
    c.flights.erase(f);
    --flying;
    return taken;
  }
  return {};
}

void Planner::State::end_flight(Connection& c, Flight& f) {
  Work& work = *f.work;
  if (f.kind == Flight::Kind::probe) work.probing = false;
  if (f.kind == Flight::Kind::chunk || f.kind == Flight::Kind::ambiguous || f.kind == Flight::Kind::suspect)
    if (isolating == c.id) isolating = 0;
  --work.slots;
  hand.touch(work);
  f.recipients.clear();
  if (spare_vectors.size() < 64) spare_vectors.push_back(std::move(f.recipients));
}

Planner::State::Open Planner::State::conclude(Connection& c, Flight& f, const Observation& seen,
                                              const Drop* drop, bool parting, TimePoint now) {
  Reading reading{c, f, seen, drop, parting ? parting_refusal(seen) : std::nullopt, now};
  // A server that refuses MAIL and takes RCPT and BDAT behind it all the same has taken the message.
  const bool taken = seen.chunked && !seen.dot.empty() && seen.dot.front() && seen.dot.front()->completed() &&
                     std::ranges::any_of(seen.rcpt, [](const auto& r) { return r && r->completed(); });
  const smtp::Reply* mail = heard(seen.mail, drop) && !taken ? &*seen.mail : nullptr;
  if (mail) c.last_reject = false;
  // Again, without overlapping. A refusal of our own (MAIL was not sent) is always because of this mail.
  if (mail && seen.mail_sent && reading.out_of_order(*mail)) {
    host.overlap_off(now);
    reading.open.unsent = f.recipients;
    return std::move(reading.open);
  }
  const smtp::Reply* const refused = mail && !mail->completed() ? mail : nullptr;
  for (std::size_t i = 0; i < f.recipients.size(); ++i) conclude_rcpt(reading, i, refused);
  conclude_too_many(reading);
  if (!reading.open.accepted.empty()) conclude_content(reading);
  return std::move(reading.open);
}

// The first row that fits decides: each takes for granted that those before it did not.
void Planner::State::conclude_rcpt(Reading& reading, std::size_t i, const smtp::Reply* mail_refused) {
  Connection& c = reading.c;
  const Observation& seen = reading.seen;
  Open& open = reading.open;
  Recipient& r = *reading.f.recipients[i];
  if (r.withdrawn) return hand.forget(r);
  // Whatever was said to a RCPT behind a refused MAIL follows from that.
  if (mail_refused && !seen.mail_sent)  // on our side
    return refused(c, r, c.words(*mail_refused, Stage::mail, reading.now), reading.now);
  if (mail_refused) return refuse(c, r, *mail_refused, Stage::mail, reading.now);
  if (i >= seen.rcpts_sent || skipped(seen, r.number)) {
    // Refused on our side: the address needs SMTPUTF8, which EHLO did not offer.
    if (i < seen.rcpt.size() && seen.rcpt[i])
      return refused(c, r, c.words(*seen.rcpt[i], Stage::rcpt, reading.now), reading.now);
    return open.unsent.push_back(&r);
  }
  if (i >= seen.rcpt.size() || !heard(seen.rcpt[i], reading.drop)) return open.silent.push_back(&r);
  const smtp::Reply& reply = *seen.rcpt[i];
  // Temporary, whatever the code (RFC 5321 4.5.3.1.10). Only the first RCPT of a transaction has its verdict
  // in these words, so that each transaction settles somebody.
  if (!reply.completed() && open.answered > 0 && too_many_recipients(reply)) {
    ++open.answered;
    reading.too_many.push_back(&r);
    reading.certain = reading.certain || reply.enhanced.given();
    return;
  }
  if (reply.code == 503 && reading.out_of_order(reply)) {
    host.overlap_off(reading.now);
    return open.unsent.push_back(&r);
  }
  ++open.answered;
  c.last_reject = !reply.completed();
  if (reply.completed()) {
    reading.taken_behind = !reading.too_many.empty();
    return open.accepted.push_back(&r);
  }
  ++open.refused;
  if (reading.parting != i || c.rejects + open.refused <= refusals_borne)
    return refuse(c, r, reply, Stage::rcpt, reading.now);
  // The last words of a peer that was refused much may be for the others. Has it hung up with them, or not
  // yet?
  LastReply words = c.words(reply, Stage::rcpt, reading.now);
  if (reading.drop) return refuse_at_parting(c, r, std::move(words), true, reading.now);
  c.parting = &r;
  c.parting_words = std::move(words);
}

// A limit is what all behind it were refused by: not so where each recipient's domain has its own.
void Planner::State::conclude_too_many(Reading& reading) {
  const auto taken = static_cast<std::uint32_t>(reading.open.accepted.size());
  if (!reading.taken_behind && (reading.certain || reading.too_many.size() > 1))
    learned.too_many_recipients(taken, reading.now);
  back(reading.too_many, reading.f.kind);  // first of the next one
}

// DATA, and the end of the content, for those whose RCPT was accepted. Who keeps no reply stays in
// open.accepted.
void Planner::State::conclude_content(Reading& reading) {
  Connection& c = reading.c;
  const Observation& seen = reading.seen;
  Open& open = reading.open;
  if (!seen.chunked && heard(seen.data, reading.drop) && !seen.data->positive()) {
    if (smaller(reading.f, open, *seen.data, reading.now)) return;
    for (Recipient* r : std::exchange(open.accepted, {})) {
      refuse_content(reading, *r, *seen.data, Stage::data, reading.alone());
    }
    c.last_reject = false;
    return;
  }
  if (!seen.dot_sent) return;
  if (!limits.lmtp && !seen.dot.empty() && heard(seen.dot.front(), reading.drop) &&
      smaller(reading.f, open, *seen.dot.front(), reading.now))
    return;
  // A 421 that ended the connection answers the end of the content (LMTP: for the first recipient still open, and
  // for no other). With CHUNKING a content may be on its way while an RCPT is unanswered: then the 421 answers
  // that RCPT.
  const Drop* const drop = reading.drop;
  const smtp::Reply* last_words =
      drop && drop->how == Drop::How::reply_421 && drop->reply.code == 421 && open.silent.empty()
          ? &drop->reply
          : nullptr;
  std::vector<Recipient*> unanswered;
  for (std::size_t j = 0; j < open.accepted.size(); ++j) {
    Recipient& r = *open.accepted[j];
    const std::size_t at = limits.lmtp ? j : 0;
    const smtp::Reply* reply = at < seen.dot.size() && seen.dot[at] ? &*seen.dot[at] : last_words;
    if (limits.lmtp && reply && reply->code == 421) last_words = nullptr;
    if (!reply) {
      unanswered.push_back(&r);
      continue;
    }
    if (reply->code == 421 && !limits.lmtp && not_of_message(c, *reading.f.work, seen, *reply, reading.now)) {
      open.unsent.push_back(&r);
    } else if (reply->completed()) {
      ++open.delivered;
      deliver(c, r, *reply, reading.now);
    } else {
      refuse_content(reading, r, *reply, Stage::dot, limits.lmtp || reading.alone());
    }
    c.last_reject = false;
  }
  open.accepted = std::move(unanswered);
}

void Planner::State::refuse_content(Reading& reading, Recipient& r, const smtp::Reply& reply, Stage stage,
                                    bool alone) {
  const std::size_t before = outcomes.size();
  refuse(reading.c, r, reply, stage, reading.now);
  if (outcomes.size() > before) outcomes.back().second.alone = alone;  // else he is in hand again
}

void Planner::State::committed(Connection& c, Work& work, std::uint32_t delivered, TimePoint now) {
  if (delivered == 0) return;
  ++c.committed;
  host.committed(now);
  if (!notes.empty()) notes.erase(work.id);
  // The other half of what was refused together is not sent together with more.
  work.vouched_limit = work.vouched.empty() ? 0 : std::min(work.vouched_limit * 2, 1000u);
  refused_whole = {};
  rests = 0;
  hand.resume(work);
}

void Planner::State::report(Connection& c, const Observation& seen, TimePoint now) {
  Flight f = take_flight(c, seen);
  if (!f.work) return;
  if (heard_of(seen)) settle_parting(c, false, now);
  // What this connection had done before was survived: this transaction was answered behind it.
  const std::uint32_t rejects_before = c.rejects, messages_before = c.committed;
  std::string alone;  // had all the time of the protocol
  if (f.kind == Flight::Kind::suspect)
    alone = f.recipients.front()->address;
  else if (sender_in_trouble(f.work->id))
    alone = std::to_string(f.work->id);
  Open open = conclude(c, f, seen, nullptr, true, now);
  c.rcpts += open.answered;
  c.rejects += open.refused;
  c.errors += errors(seen);
  if (open.refused > 0) host.refused_command();
  if (open.answered > 0 || (seen.mail_sent && seen.mail)) {
    host.answered(c.opened);
    if (!alone.empty()) host.answered_alone(alone, now - f.begun);
    c.answered(now);
    learned.survived(open.delivered > 0 ? open.answered : 0,
                     open.delivered > 0 ? c.rcpts : c.rcpts - open.answered,
                     open.delivered > 0 ? c.rejects : rejects_before, messages_before, now - c.opened);
  }
  if (f.kind == Flight::Kind::chunk && open.delivered > 0) f.work->chunk = std::min(f.work->chunk * 2, 64u);
  committed(c, *f.work, open.delivered, now);
  const bool heeded = pending.any;  // the table of replies has said what is to be done
  if (!heeded) {
    greylisting(c, seen, open, now);
    whole_refused(c, *f.work, seen, open, now);
  }
  if (open.delivered > 0 && f.overlap) host.overlap_committed();
  back(open.unsent, f.kind);
  for (auto r = open.silent.rbegin(); r != open.silent.rend(); ++r)
    no_reply(c, f, **r, Stage::rcpt, false, now);
  for (auto r = open.accepted.rbegin(); r != open.accepted.rend(); ++r)
    no_reply(c, f, **r, Stage::dot, seen.dot_sent, now);
  end_flight(c, f);
  c.idle_since = now;
  if (heeded) carry_out(&c, open.delivered > 0, now);
}

// The transaction was given up before this recipient had a reply. It is asked again, but not for ever; and
// not at once where it may have its copy.
void Planner::State::no_reply(Connection& c, const Flight& f, Recipient& r, Stage stage, bool doubtful,
                              TimePoint now) {
  if (!doubtful && ++r.returned < returned_at_most) return back(r, f.kind);
  smtp::Reply reply;
  reply.text = "transaction given up without an answer";
  if (doubtful) named_in_doubt.push_back({f.work->id, r.number});
  defer(r, false, deferral(c, r.attempts, now), c.words(std::move(reply), stage, now), now);
}

}  // namespace spoold::delivery
