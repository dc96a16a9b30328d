// What an answered transaction means for each of its recipients (isolation.md I1: what was heard is kept).
#include <algorithm>
#include <string>
#include <utility>

#include "protocol/delivery/planner_state.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::delivery {
namespace {
constexpr Duration one_session = std::chrono::seconds(30);
constexpr std::uint32_t grey_row = 16;          // identical 4xx in a row, in two transactions at least
constexpr std::uint32_t refused_in_a_row = 16;  // transactions of a message, then the rest of it waits
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
  defer(r, true, deferral(c, r.attempts, now), std::move(last), now);
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

// A content that was refused because of how many or because of one of them: again to fewer, uncharged, until
// the reply can only mean the one recipient it is for.
bool Planner::State::smaller(Flight& f, Open& open, const smtp::Reply& reply, TimePoint now) {
  const auto accepted = static_cast<std::uint32_t>(open.accepted.size());
  if (accepted < 2 || reply.code < 400 || reply.code == 421) return false;
  const bool too_many = too_many_recipients_for_content(reply);
  const bool one_of_them = reply.enhanced.subject == 1 || reply.enhanced.subject == 2;  // RFC 3463 3.2, 3.3
  if (!too_many && !one_of_them) return false;
  if (too_many) learned.too_many_recipients(accepted / 2, now);
  f.work->vouched_limit = (accepted + 1) / 2;
  for (Recipient* r : std::exchange(open.accepted, {})) {
    r->sent = false;
    r->doubt ? wait_as_suspect(*r) : f.work->vouched.push_back(*r);
  }
  return true;
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
  // Refused because of what went before on the wire, not because of this mail: again, without overlapping. A
  // refusal of our own (MAIL was not sent) is always because of this mail.
  const auto out_of_order = [&](const smtp::Reply& reply) {
    return f.overlap && (reply.code == 500 || reply.code == 501 || reply.code == 503 || reply.code == 554);
  };
  if (mail && seen.mail_sent && out_of_order(*mail)) {
    host.overlap_off(now);
    open.unsent = f.recipients;
    return open;
  }
  std::vector<Recipient*> too_many;  // for this transaction
  bool taken_behind = false, certain = false;
  for (std::size_t i = 0; i < f.recipients.size(); ++i) {
    Recipient& r = *f.recipients[i];
    if (r.withdrawn) {
      hand.forget(r);
    } else if (mail && !mail->completed()) {  // whatever was said to RCPT behind it follows from it
      refuse(c, r, *mail, Stage::mail, now);
    } else if (i >= seen.rcpts_sent || skipped(r.number)) {
      // Refused on our side: the address needs SMTPUTF8, which EHLO did not offer.
      if (i < seen.rcpt.size() && seen.rcpt[i])
        refuse(c, r, *seen.rcpt[i], Stage::rcpt, now);
      else
        open.unsent.push_back(&r);
    } else if (i >= seen.rcpt.size() || !heard(seen.rcpt[i], drop)) {
      open.silent.push_back(&r);
    } else if (const smtp::Reply& reply = *seen.rcpt[i]; reply.completed()) {
      ++open.answered;
      taken_behind = !too_many.empty();
      c.last_reject = false;
      open.accepted.push_back(&r);
    } else if (open.answered > 0 && too_many_recipients(reply)) {
      // Temporary, whatever the code (RFC 5321 4.5.3.1.10). Only the first RCPT of a transaction has its
      // verdict in these words, so that each transaction settles somebody.
      ++open.answered;
      too_many.push_back(&r);
      certain = certain || reply.enhanced.given();
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
  // A limit is what all behind it were refused by: not so where each recipient's domain has its own.
  const auto taken_in_all = static_cast<std::uint32_t>(open.accepted.size());
  if (!taken_behind && (certain || too_many.size() > 1)) learned.too_many_recipients(taken_in_all, now);
  for (auto r = too_many.rbegin(); r != too_many.rend(); ++r) back(**r, f.kind);  // first of the next one
  if (open.accepted.empty()) return open;

  if (!seen.chunked && heard(seen.data, drop) && !seen.data->positive()) {
    if (smaller(f, open, *seen.data, now)) return open;
    for (Recipient* r : std::exchange(open.accepted, {})) refuse(c, *r, *seen.data, Stage::data, now);
    c.last_reject = false;
    return open;
  }
  if (!seen.dot_sent) return open;
  if (const auto& dot = seen.dot;
      !limits.lmtp && !dot.empty() && heard(dot.front(), drop) && smaller(f, open, *dot.front(), now))
    return open;
  bool ended = false;  // LMTP: the 421 answers one recipient
  std::vector<Recipient*> unanswered;
  for (std::size_t j = 0; j < open.accepted.size(); ++j) {
    Recipient& r = *open.accepted[j];
    const std::size_t at = limits.lmtp ? j : 0;
    const smtp::Reply* reply = at < seen.dot.size() && seen.dot[at] ? &*seen.dot[at] : nullptr;
    if (reply && reply->code == 421) ended = limits.lmtp;
    // A 421 that ended the connection is the answer to the end of content (LMTP: to the first one still
    // open), but with CHUNKING that may be on its way while an RCPT is unanswered: then it is that one's.
    if (!reply && drop && drop->how == Drop::How::reply_421 && drop->reply.code == 421 &&
        open.silent.empty() && !ended) {
      reply = &drop->reply;
      ended = limits.lmtp;
    }
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
  // The other half of what was refused together is not sent together with more.
  work.vouched_limit = work.vouched.empty() ? 0 : std::min(work.vouched_limit * 2, 1000u);
  refused_whole = {};
  rests = 0;
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

// A temporary refusal of MAIL, DATA or the content is not about a recipient. Without a brake each of them
// would be asked with a whole transaction. One message that is refused again and again waits as a whole. Two
// messages refused alike, with nothing delivered in between, or words about the host (4.3.x), are about the
// host: it rests for 1, 2, 4 .. minutes. A message that was refused before, while others were delivered since,
// explains itself and is no evidence against the host.
void Planner::State::whole_refused(Connection& c, Work& work, const Observation& seen, const Open& open,
                                   TimePoint now) {
  if (open.delivered > 0) return;
  const auto deferred = [](const std::optional<smtp::Reply>& r) {
    return r && r->temporary() && r->code != 421;
  };
  LastReply last;
  if (deferred(seen.mail)) {
    last.reply = *seen.mail;
    last.stage = Stage::mail;
  } else if (deferred(seen.data)) {
    last.reply = *seen.data;
    last.stage = Stage::data;
  } else if (!limits.lmtp && !seen.dot.empty() && deferred(seen.dot.front()) &&
             std::ranges::any_of(seen.rcpt, [](const auto& r) { return r && r->completed(); })) {
    last.reply = *seen.dot.front();
    last.stage = Stage::dot;
  } else {
    return;
  }
  const smtp::EnhancedStatus& status = last.reply.enhanced;
  if (last.stage != Stage::mail && (status.subject == 1 || status.subject == 2 || status.subject == 5))
    return;
  last.remote = c.remote;
  last.tls = c.tls;
  last.at = now;

  Note& n = note(work.id, now);
  const bool before = n.refused > 0 && host.commits() > n.refused_at;
  if (!before) n.refused_at = host.commits();
  ++n.refused;
  if (!before) {
    const bool alike = refused_whole.last.stage == last.stage &&
                       refused_whole.last.reply.code == last.reply.code &&
                       refused_whole.last.reply.enhanced == status;
    const bool several = alike && refused_whole.message != work.id;
    const bool of_host = status.klass == 4 && status.subject == 3 && status.detail != 3 && status.detail != 4;
    if (several || of_host) {
      const TimePoint until = now + jitter.spread(doubling(std::chrono::minutes(1), ++rests));
      refused_whole = {};
      host.rest(until, last.reply.oneline(), now);
      give_back_all(until, last, false, now);
      return;
    }
    refused_whole = {last, work.id};
  }
  if (n.refused % refused_in_a_row == 0)
    rest_of_message(work, deferral(c, n.refused / refused_in_a_row - 1, now), last);
}

void Planner::State::report(Connection& c, const Observation& seen, TimePoint now) {
  Flight f = take_flight(c, seen);
  if (!f.work) return;
  // What this connection had done before was survived: this transaction was answered behind it.
  const std::uint32_t rejects_before = c.rejects, messages_before = c.committed;
  if (heard_of(seen)) settle_parting(c, false, now);
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
  greylisting(c, seen, open, now);
  whole_refused(c, *f.work, seen, open, now);
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
