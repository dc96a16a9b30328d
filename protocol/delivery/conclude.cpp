// What an answered transaction means for each of its recipients (isolation.md I1: what was heard is kept).
#include <algorithm>
#include <utility>

#include "protocol/delivery/planner_state.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::delivery {
namespace {
constexpr Duration one_session = std::chrono::seconds(30);
constexpr std::uint32_t grey_row = 16;        // identical 4xx in a row, in two transactions at least
constexpr std::uint8_t too_many_at_most = 2;  // "too many recipients" is believed so often
constexpr std::uint8_t returned_at_most = 3;
// By any peer, before it hangs up on somebody for those of others.
constexpr std::uint32_t refusals_borne = 3;
constexpr std::size_t asked_at_most = 10'000;

// Each recipient keeps the words he was answered with: a talkative host must not fill the disk.
void cut(std::string& words) {
  constexpr std::size_t most = 1000;
  if (words.size() <= most) return;
  words.resize(mail::utf8_front(words, most).size());
  words += " ...";
}

}  // namespace

TimePoint Planner::State::deferral(Connection& c, std::uint32_t attempts, TimePoint now) {
  if (now - c.deferral_base > one_session) c.deferral_base = now;
  return c.deferral_base + Jitter::scaled(step(limits.retry, attempts), c.jitter);
}

void Planner::State::outcome(Recipient& r, Verdict verdict, bool charged, TimePoint next, LastReply last) {
  auto& [message, o] = outcomes.emplace_back();
  message = r.work->id;
  if (!asked_once.empty() && verdict != Verdict::deferred && verdict != Verdict::released)
    asked_once.erase({r.work->id, r.number});
  o.number = r.number;
  o.verdict = verdict;
  o.charged = charged;
  o.next_attempt = next;
  o.last = std::move(last);
  cut(o.last.reply.text);
  hand.forget(r);
}

void Planner::State::defer(Recipient& r, bool charged, TimePoint next, LastReply last, TimePoint now) {
  const bool expired = limits.lifetime > Duration{} && now - r.arrived >= limits.lifetime;
  outcome(r, expired ? Verdict::expired : Verdict::deferred, charged, expired ? TimePoint{} : next,
          std::move(last));
}

void Planner::State::back(Recipient& r, Flight::Kind kind) {
  if (r.withdrawn) {
    hand.forget(r);
    return;
  }
  r.sent = false;
  if (r.doubt)
    wait_as_suspect(r);
  else if (kind == Flight::Kind::chunk)
    r.work->unsent.push_front(r);
  else if (kind == Flight::Kind::ambiguous)
    r.work->ambiguous.push_front(r);
  else if (kind == Flight::Kind::vouched)
    r.work->vouched.push_front(r);
  else if (kind == Flight::Kind::again)
    ask_again.push_front(r);
  else
    r.work->ready.push_front(r);
}

void Planner::State::deliver(Connection& c, Recipient& r, const smtp::Reply& reply, TimePoint now) {
  if (r.doubt && r.doubt->recorded) forget_suspicion(r.address);
  outcome(r, Verdict::delivered, true, {}, {reply, c.remote, now, Stage::dot, c.tls});
}

void Planner::State::refuse(Connection& c, Recipient& r, const smtp::Reply& reply, Stage stage,
                            TimePoint now) {
  LastReply last{reply, c.remote, now, stage, c.tls};
  if (reply.permanent()) {
    if (r.doubt && r.doubt->recorded) forget_suspicion(r.address);
    outcome(r, Verdict::failed, true, {}, std::move(last));
    return;
  }
  const bool of_host = stage == Stage::rcpt && reply.enhanced.klass == 4 && reply.enhanced.subject == 3;
  defer(r, !of_host, deferral(c, r.attempts, now), std::move(last), now);
}

// Exim's `drop` answers whoever comes after too many refusals with the words for those, and hangs up. So a
// 5xx of that kind is no verdict yet: he is asked once more, as the first one of a connection.
void Planner::State::refuse_at_parting(Connection& c, Recipient& r, LastReply words, bool hung_up,
                                       TimePoint now) {
  const bool too_late = limits.lifetime > Duration{} && now - r.arrived >= limits.lifetime;
  if (!hung_up || too_late || asked_once.size() >= asked_at_most ||
      !asked_once.emplace(r.work->id, r.number).second)
    return refuse(c, r, words.reply, Stage::rcpt, now);
  const Duration wait =
      limits.isolation_waits.empty() ? std::chrono::seconds(5) : limits.isolation_waits.front();
  defer(r, false, now + jitter.spread(wait), std::move(words), now);
}

void Planner::State::settle_parting(Connection& c, bool hung_up, TimePoint now) {
  if (Recipient* r = std::exchange(c.parting, nullptr))
    refuse_at_parting(c, *r, std::move(c.parting_words), hung_up, now);
}

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

// Is the 421 in reply to a content about the connection or the host, and not about this message? Words about
// the host count for the host once: again at the same message, while others were delivered in between, they
// are about the message, and the host's clock does not move.
bool Planner::State::not_of_message(Connection& c, const Work& work, const Observation& seen,
                                    const smtp::Reply& reply, TimePoint now) {
  const Subject subject = subject_of(reply, {});
  if (subject == Subject::errors && c.errors + errors(seen) > 0) return true;
  if (subject != Subject::host && subject != Subject::errors) return false;
  Note& n = note(work.id, now);
  if (n.ended && host.commits() > *n.ended) {
    c.explained = true;
    return false;
  }
  n.ended = host.commits();
  return true;
}

Planner::State::Open Planner::State::conclude(Connection& c, Flight& f, const Observation& seen,
                                              const Drop* drop, bool parting, TimePoint now) {
  Open open;
  const auto last_words = parting ? parting_refusal(seen) : std::nullopt;
  const auto skipped = [&](std::uint32_t number) {
    return !seen.skipped.empty() && std::ranges::find(seen.skipped, number) != seen.skipped.end();
  };
  // A server that refuses MAIL and takes RCPT and BDAT behind it all the same has taken the message.
  const bool taken = seen.chunked && !seen.dot.empty() && seen.dot.front() && seen.dot.front()->completed() &&
                     std::ranges::any_of(seen.rcpt, [](const auto& r) { return r && r->completed(); });
  const smtp::Reply* mail = heard(seen.mail, drop) && !taken ? &*seen.mail : nullptr;
  if (mail) c.last_reject = false;
  // Refused because of what went before on the wire, not because of this mail: again, without overlapping.
  const auto out_of_order = [&](const smtp::Reply& reply) {
    return f.overlap && (reply.code == 500 || reply.code == 501 || reply.code == 503 || reply.code == 554);
  };
  if (mail && out_of_order(*mail)) {
    host.overlap_off(now);
    open.unsent = f.recipients;
    return open;
  }
  for (std::size_t i = 0; i < f.recipients.size(); ++i) {
    Recipient& r = *f.recipients[i];
    if (r.withdrawn) {
      hand.forget(r);
    } else if (mail && !mail->completed()) {  // whatever was said to RCPT behind it follows from it
      refuse(c, r, *mail, Stage::mail, now);
    } else if (i >= seen.rcpts_sent || skipped(r.number)) {
      open.unsent.push_back(&r);
    } else if (i >= seen.rcpt.size() || !heard(seen.rcpt[i], drop)) {
      open.silent.push_back(&r);
    } else if (const smtp::Reply& reply = *seen.rcpt[i]; reply.completed()) {
      ++open.answered;
      c.last_reject = false;
      open.accepted.push_back(&r);
    } else if (too_many_recipients(reply) && !open.accepted.empty() && r.too_many < too_many_at_most) {
      ++open.answered;
      ++r.too_many;
      if (reply.enhanced.given())
        learned.too_many_recipients(static_cast<std::uint32_t>(open.accepted.size()), now);
      back(r);
    } else if (reply.code == 503 && out_of_order(reply)) {
      host.overlap_off(now);
      open.unsent.push_back(&r);
    } else {
      ++open.answered;
      ++open.refused;
      c.last_reject = true;
      if (last_words != i || c.rejects + open.refused <= refusals_borne) {
        refuse(c, r, reply, Stage::rcpt, now);
        continue;
      }
      LastReply words{reply, c.remote, now, Stage::rcpt, c.tls};
      if (drop) {
        refuse_at_parting(c, r, std::move(words), true, now);
      } else {
        c.parting = &r;
        c.parting_words = std::move(words);
      }
    }
  }
  if (open.accepted.empty()) return open;

  if (!seen.chunked && heard(seen.data, drop) && !seen.data->positive()) {
    for (Recipient* r : std::exchange(open.accepted, {})) refuse(c, *r, *seen.data, Stage::data, now);
    c.last_reject = false;
    return open;
  }
  if (!seen.dot_sent) return open;
  std::vector<Recipient*> unanswered;
  for (std::size_t j = 0; j < open.accepted.size(); ++j) {
    Recipient& r = *open.accepted[j];
    const std::size_t at = limits.lmtp ? j : 0;
    const smtp::Reply* reply = at < seen.dot.size() && seen.dot[at] ? &*seen.dot[at] : nullptr;
    // A 421 that ended the connection is the answer to the end of content (LMTP: to the first one still
    // open), but with CHUNKING that may be on its way while an RCPT is unanswered: then it is that one's.
    if (!reply && drop && drop->how == Drop::How::reply_421 && drop->reply.code == 421 &&
        open.silent.empty() && (!limits.lmtp || unanswered.empty()))
      reply = &drop->reply;
    if (!reply) {
      unanswered.push_back(&r);
    } else if (reply->code == 421 && !limits.lmtp && not_of_message(c, *f.work, seen, *reply, now)) {
      open.unsent.push_back(&r);
    } else if (reply->completed()) {
      ++open.delivered;
      deliver(c, r, *reply, now);
    } else {
      refuse(c, r, *reply, Stage::dot, now);
    }
    if (reply) c.last_reject = false;
  }
  open.accepted = std::move(unanswered);
  return open;
}

void Planner::State::committed(Connection& c, Work& work, std::uint32_t delivered, TimePoint now) {
  if (delivered == 0) return;
  ++c.committed;
  host.committed(now);
  if (!notes.empty()) notes.erase(work.id);
  work.vouched_limit = 0;
  hand.resume(work);
}

void Planner::State::greylisting(Connection& c, const Observation& seen, const Open& open, TimePoint now) {
  if (open.refused == 0 || open.refused != open.answered) {
    if (open.answered > 0) grey_count = grey_transactions = 0;
    return;
  }
  for (const auto& reply : seen.rcpt) {
    if (!reply) continue;
    const bool same = grey_count > 0 && reply->code == grey.code && reply->enhanced == grey.enhanced;
    const bool of_recipient = reply->enhanced.subject == 1 || reply->enhanced.subject == 2;
    if (!reply->temporary() || of_recipient) {
      grey_count = grey_transactions = 0;
      return;
    }
    if (!same) {
      grey = *reply;
      grey_count = grey_transactions = 0;
    }
    ++grey_count;
  }
  ++grey_transactions;
  if (grey_count < grey_row || grey_transactions < 2) return;
  grey_count = grey_transactions = 0;
  const TimePoint until = deferral(c, 0, now);
  host.rest(until, grey.oneline(), now);
  give_back_all(until, {grey, c.remote, now, Stage::rcpt, c.tls}, false, now);
}

void Planner::State::report(Connection& c, const Observation& seen, TimePoint now) {
  Flight f = take_flight(c, seen);
  if (!f.work) return;
  // What this connection had done before was survived: this transaction was answered behind it.
  const std::uint32_t rejects_before = c.rejects, messages_before = c.committed;
  if (heard_of(seen)) settle_parting(c, false, now);
  Open open = conclude(c, f, seen, nullptr, true, now);
  c.rcpts += open.answered;
  c.rejects += open.refused;
  c.errors += errors(seen);
  if (open.refused > 0) host.refused_command();
  if (open.answered > 0 || heard(seen.mail, nullptr)) {
    host.answered();
    c.answered(now);
    learned.survived(open.delivered > 0 ? open.answered : 0,
                     open.delivered > 0 ? c.rcpts : c.rcpts - open.answered,
                     open.delivered > 0 ? c.rejects : rejects_before, messages_before, now - c.opened);
  }
  if (f.kind == Flight::Kind::chunk && open.delivered > 0) f.work->chunk = std::min(f.work->chunk * 2, 64u);
  committed(c, *f.work, open.delivered, now);
  greylisting(c, seen, open, now);
  if (open.delivered > 0 && f.overlap) host.overlap_committed();
  for (auto* line : {&open.unsent, &open.silent, &open.accepted}) {
    for (auto r = line->rbegin(); r != line->rend(); ++r) {
      const bool doubtful = line == &open.accepted && seen.dot_sent;  // may have arrived: not again at once
      if (doubtful || (line != &open.unsent && ++(*r)->returned >= returned_at_most)) {
        LastReply last;
        last.reply.text = "transaction given up without an answer";
        last.remote = c.remote;
        last.tls = c.tls;
        last.at = now;
        last.stage = line == &open.silent ? Stage::rcpt : Stage::dot;
        if (doubtful) named_in_doubt.push_back({f.work->id, (*r)->number});
        defer(**r, false, deferral(c, (*r)->attempts, now), std::move(last), now);
      } else {
        back(**r, f.kind);
      }
    }
  }
  end_flight(c, f);
  c.idle_since = now;
}

}  // namespace spoold::delivery
