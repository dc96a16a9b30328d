// A connection is gone: who is innocent, who is suspect, and is it the host (isolation.md sections 2, 3, 5 and 6).
#include <algorithm>
#include <array>
#include <utility>

#include "protocol/delivery/planner_state.hpp"

namespace spoold::delivery {
namespace {

using Blame = Finding::Blame;

constexpr std::array<Duration, 3> doubt_waits = {std::chrono::minutes(10), std::chrono::minutes(30),
                                                 std::chrono::hours(1)};
constexpr std::uint32_t doubts_to_hold = 3;
constexpr std::uint32_t sender_drops = 3;
constexpr std::size_t notes_kept = 1000;

LastReply words(const Connection& c, const Drop& drop, Stage stage, TimePoint now) {
  LastReply last;
  last.remote = c.remote;
  last.tls = c.tls;
  last.at = now;
  last.stage = stage;
  if (drop.how == Drop::How::reply_421)
    last.reply = drop.reply;
  else
    last.reply.text = drop.text.empty() ? waiting_text(drop.how, stage) : drop.text;
  return last;
}

}  // namespace

Note& Planner::State::note(MessageId id, TimePoint now) {
  if (notes.size() >= notes_kept && !notes.contains(id)) {
    const auto oldest = std::ranges::min_element(notes, {}, [](const auto& n) { return n.second.last; });
    notes.erase(oldest);
  }
  const auto [at, fresh] = notes.try_emplace(id);
  Note& n = at->second;
  if (fresh) {
    n.commits = host.commits();
    n.doubted = now;
  }
  n.last = now;
  return n;
}

void Planner::State::dropped(ConnectionId id, const Drop& drop, const std::vector<Observation>& open_ones,
                             TimePoint now) {
  const auto found = std::ranges::find_if(connections, [&](const auto& p) { return p->id == id; });
  if (found == connections.end()) return;
  const auto open_before = static_cast<std::uint32_t>(connections.size());
  const std::unique_ptr<Connection> owner = std::move(*found);
  Connection& c = *owner;
  connections.erase(found);
  c.part();

  DropRecord record{now, c.opened, {}, drop.how, 0, 0, 0, 0, {}, false, false};
  Flight guilty;
  Recipient* suspect = nullptr;
  bool certain = false, behind = false, doubt = false, overlapped = false;
  // The 421 for a connection with too many errors is no evidence against anybody: what was refused on this
  // connection has its replies, and the next connection begins with none.
  const auto spent = [&] {
    return drop.how == Drop::How::reply_421 && c.errors > 0 && subject_of(drop.reply, {}) == Subject::errors;
  };
  Subject subject = drop.how == Drop::How::reply_421 ? subject_of(drop.reply, {}) : Subject::unknown;
  const bool hung_up = drop.how == Drop::How::closed || drop.how == Drop::How::reset;
  const Observation* last_heard = nullptr;
  for (const Observation& seen : open_ones)
    if (heard_of(seen)) last_heard = &seen;
  settle_parting(c, hung_up && !last_heard, now);
  for (const Observation& seen : open_ones) {
    Flight f = take_flight(c, seen);
    if (!f.work) continue;
    overlapped = overlapped || f.overlap;
    const Finding finding = behind ? Finding{} : find_blame(seen, drop, limits.lmtp);
    Open open = conclude(c, f, seen, &drop, hung_up && &seen == last_heard, now);
    c.rcpts += open.answered;
    c.rejects += open.refused;
    c.errors += errors(seen);
    committed(c, *f.work, open.delivered, now);
    if (!behind && !finding.complete && spent()) {
      behind = true;
      back_unblamed(f, open);
      end_flight(c, f);
      continue;
    }
    // The end of its content was sent and not answered. Where MAIL or RCPT was answered 421, it was not taken.
    const bool ended = seen.dot_sent && !ended_by_421(seen);
    if (ended) name_in_doubt(f.work->id, open);
    // Innocent as a whole: behind the oldest unanswered command, answered, or begun and not written.
    const bool ours = drop.how == Drop::How::ours;
    const bool innocent = behind || finding.complete || ours || !seen.mail_sent;
    // A peer that is slow at a RCPT takes the content behind it later: nobody can be suspected of anything.
    const bool may_arrive = ended && works_on(drop.how) && (ours || finding.blame != Blame::in_doubt);
    if (innocent || may_arrive) {
      if (may_arrive || (doubt && ended)) in_doubt_behind(c, open, drop, now);
      if (!behind && seen.mail_sent && (finding.stopped || !finding.complete)) {
        behind = true;
        record.finding = finding;
        record.message = f.work->id;
      }
      for (auto* line : {&open.unsent, &open.silent, &open.accepted})
        for (auto r = line->rbegin(); r != line->rend(); ++r) back(**r, f.kind);
      end_flight(c, f);
      continue;
    }
    behind = true;
    doubt = finding.blame == Blame::in_doubt;
    record.finding = finding;
    record.message = f.work->id;
    certain = f.window == 1 || (open.silent.size() == 1 && finding.blame == Blame::suspect);
    if (finding.after_reject) certain = false;
    if (finding.blame == Blame::suspect && !open.silent.empty() && drop.how == Drop::How::reply_421)
      subject = subject_of(drop.reply, open.silent.front()->address);
    suspect = sort_out(c, f, finding, open, drop, subject, now);
    guilty = std::move(f);
  }
  while (!c.flights.empty()) {  // handed out, not begun
    Flight f = std::move(c.flights.front());
    c.flights.erase(c.flights.begin());
    --flying;
    for (auto r = f.recipients.rbegin(); r != f.recipients.rend(); ++r) back(**r, f.kind);
    end_flight(c, f);
  }
  if (isolating == id) isolating = 0;
  if (drop.how == Drop::How::ours) return settle_suspects(now);  // our own cut is evidence of nothing

  if (spent()) {
    learned.errors_spent(c.errors, now);
    host.note_error(drop.reply.oneline(), now);
    settle_suspects(now);
    return;
  }

  record.in_connection = c.rcpts;
  record.rejects = c.rejects;
  record.messages = c.committed;
  record.last_was_reject = c.last_reject;
  const bool hasty = drop.how == Drop::How::timeout && guilty.patience > Duration{};
  record.explained = guilty.kind == Flight::Kind::suspect || known_sender(record) ||
                     (hasty && record.finding.stage == Stage::mail);
  record.named = subject == Subject::recipient || subject == Subject::sender;
  if (suspect) record.suspect = suspect->address;

  std::vector<std::string> explained;
  // One that a limit had explained and that drops again, alone: no limit explains that.
  const bool again = suspect && suspect->doubt && suspect->doubt->released;
  const auto limit = again || record.named ? std::nullopt : learned.weigh(record, explained);
  // Words about the host count for the host once. Again at the same recipient, while others were delivered
  // in between, they are about him: an ordinary suspect. Else he would stop the host each time he is asked.
  const bool said_before = suspect && suspect->doubt && suspect->doubt->suspicion.last_drop != TimePoint{} &&
                           host.last_commit() > suspect->doubt->suspicion.last_drop;
  const bool host_words =
      (subject == Subject::host || subject == Subject::errors) && !said_before && !c.explained;
  const bool fault = host.dropped(record, open_before, host_words, now) && (!limit || host_words);
  if (group && record.messages == 0) group->with([now](Group& g) { g.unproductive(now); });
  if (group && host_words && !fault) group->with([now](Group& g) { g.refused(now); });
  const LastReply last = words(c, drop, record.finding.stage, now);
  host.note_error(last.reply.oneline(), now);
  if (overlapped) host.overlap_dropped(now);
  if (limit == Learned::Limit::messages) host.overlap_on();

  if (suspect) {
    if (limit || fault || host_words) {  // not this recipient's fault; in order last all the same (I3)
      if (!suspect->doubt) suspect->doubt = std::make_unique<Doubt>();
      Doubt& d = *suspect->doubt;
      d.no_wait = limit.has_value();  // else he waits as any suspect: not at once on the next connection
      d.since = now;
      if (!d.recorded) {
        describe(c, d, record.finding, drop, now);
        known[suspect->address] = d.suspicion;
      }
      wait_as_suspect(*suspect);
    } else {
      suspect_dropped(c, guilty, *suspect, record.finding, drop, certain, now);
    }
  }
  if (limit) release(explained);
  if (guilty.work) end_flight(c, guilty);
  if (fault) host_fault(last, now);
  settle_suspects(now);
}

Recipient* Planner::State::sort_out(Connection& c, Flight& f, const Finding& finding, Open& open,
                                    const Drop& drop, Subject subject, TimePoint now) {
  Work& work = *f.work;
  Recipient* suspect = nullptr;
  Finding::Blame blame = finding.blame;
  const bool alone =
      f.kind == Flight::Kind::suspect || f.kind == Flight::Kind::ambiguous || f.kind == Flight::Kind::again;
  if (blame == Blame::ambiguous && alone) blame = Blame::suspect;  // nothing more can be found out about it
  if (blame == Blame::suspect && subject == Subject::sender) blame = Blame::sender;
  work.chunk = 8;

  if (blame == Blame::in_doubt) {
    in_doubt(c, f, open, drop, now);
  } else if (blame == Blame::message) {
    content_fault(c, f, finding, open, drop, now);
  } else if (blame == Blame::suspect && !open.silent.empty()) {
    suspect = open.silent.front();
    open.silent.erase(open.silent.begin());
  }

  // The words name the cause: nothing is left to find out about the others, who need no lock-step.
  if (subject == Subject::recipient || subject == Subject::sender) {
    back_unblamed(f, open);
    if (blame == Blame::sender) sender_fault(c, work, drop, now);
    return suspect;
  }

  for (Recipient* r : open.silent) r->dropped = true;
  // Accepted before the drop: vouched for. The others go in lock-step, never-sent ones before those in
  // flight.
  for (Recipient* r : open.accepted) {
    r->sent = false;
    r->doubt ? wait_as_suspect(*r) : work.vouched.push_back(*r);
  }
  if (blame == Blame::sender || (work.one_each && blame != Blame::ambiguous)) {
    for (auto* line : {&open.silent, &open.unsent})
      for (auto r = line->rbegin(); r != line->rend(); ++r) back(**r, f.kind);
  } else {
    for (auto* line : {&open.unsent, &open.silent}) {
      for (Recipient* r : *line) {
        r->sent = false;
        if (r->doubt)
          wait_as_suspect(*r);
        else
          (work.one_each ? work.ambiguous : work.unsent).push_back(*r);
      }
    }
  }
  // With PIPELINING the RCPT is in the same write, and MAIL looks ambiguous: it is evidence against its sender
  // all the same. Not behind the content of another transaction: there a limit on messages ends connections.
  if (finding.stage == Stage::mail && !f.overlap) sender_fault(c, work, drop, now);
  hand.touch(work, !work.vouched.empty());
  return suspect;
}

void Planner::State::back_unblamed(Flight& f, Open& open) {
  Work& work = *f.work;
  for (Recipient* r : std::exchange(open.accepted, {})) {
    r->sent = false;
    r->doubt ? wait_as_suspect(*r) : work.vouched.push_back(*r);
  }
  for (auto* line : {&open.unsent, &open.silent}) {
    for (auto r = line->rbegin(); r != line->rend(); ++r) back(**r, f.kind);
    line->clear();
  }
  hand.touch(work, !work.vouched.empty());
}

void Planner::State::content_fault(Connection& c, Flight& f, const Finding& finding, Open& open,
                                   const Drop& drop, TimePoint now) {
  Work& work = *f.work;
  const std::uint32_t times = ++note(work.id, now).content;
  const auto accepted = static_cast<std::uint32_t>(open.accepted.size());
  if (times == 1) return;
  if (times == 2 && accepted > 1) {  // bisect once
    work.vouched_limit = (accepted + 1) / 2;
    return;
  }
  const LastReply last = words(c, drop, finding.stage, now);
  for (Recipient* r : std::exchange(open.accepted, {}))
    defer(*r, false, deferral(c, times - 2, now), last, now);
}

void Planner::State::in_doubt(Connection& c, Flight& f, Open& open, const Drop& drop, TimePoint now) {
  Work& work = *f.work;
  Note& n = note(work.id, now);
  // Transactions that were under way when the doubt began are no further evidence.
  if (n.in_doubt == 0 || f.begun >= n.doubted) {
    ++n.in_doubt;
    n.doubted = now;
  }
  const Duration wait = jitter.spread(doubt_waits[std::min<std::size_t>(n.in_doubt, doubt_waits.size()) - 1]);
  const LastReply last = words(c, drop, Stage::dot, now);
  for (Recipient* r : std::exchange(open.accepted, {})) {
    if (limits.lmtp) {  // retried alone; no strike
      if (!r->doubt) r->doubt = std::make_unique<Doubt>();
      Suspicion& s = r->doubt->suspicion;
      if (s.first == TimePoint{}) s.first = now;
      s.last_drop = now;
      s.next = now + wait;
      s.stage = Stage::dot;
      s.how = after_text(drop.how, Stage::dot);
      record(*r);
    }
    defer(*r, false, now + wait, last, now);
  }
  const bool others_commit = host.commits() > n.commits;
  if (n.in_doubt >= doubts_to_hold) {
    if (others_commit) {
      held.push_back(work.id);
      notes.erase(work.id);
    }
    rest_of_message(work, now + wait, last);
  } else {
    Duration until_probe{};
    if (n.in_doubt > 1)
      until_probe =
          jitter.spread(limits.isolation_waits.empty() ? Duration(5000) : limits.isolation_waits.front());
    hand.pause(work, now + until_probe);
  }
}

void Planner::State::name_in_doubt(MessageId message, const Open& open) {
  for (const auto* line : {&open.accepted, &open.silent})
    for (Recipient* r : *line) {
      r->possible_duplicate = true;
      named_in_doubt.push_back({message, r->number});
    }
}

// No evidence against its content, nor a reason to pause its message: but it may have been delivered.
void Planner::State::in_doubt_behind(Connection& c, Open& open, const Drop& drop, TimePoint now) {
  const TimePoint next = now + Jitter::scaled(doubt_waits.front(), c.jitter);  // all of a connection together
  for (auto* line : {&open.accepted, &open.silent})
    for (Recipient* r : std::exchange(*line, {}))
      defer(*r, false, next, words(c, drop, Stage::dot, now), now);
}

void Planner::State::sender_fault(Connection& c, Work& work, const Drop& drop, TimePoint now) {
  const std::uint32_t times = ++note(work.id, now).sender;
  if (times < sender_drops) return;
  const Duration wait = doubling(std::chrono::minutes(1), times - sender_drops + 1);
  rest_of_message(work, now + jitter.spread(wait), words(c, drop, Stage::mail, now));
}

bool Planner::State::sender_in_trouble(MessageId id) const {
  if (notes.empty()) return false;
  const auto n = notes.find(id);
  return n != notes.end() && n->second.sender > 0;
}

// Was lost at MAIL of a message that had ended enough connections there to wait for itself.
bool Planner::State::known_sender(const DropRecord& record) const {
  if (record.finding.stage != Stage::mail) return false;
  const auto n = notes.find(record.message);
  return n != notes.end() && n->second.sender > sender_drops;
}

void Planner::State::rest_of_message(Work& work, TimePoint next, const LastReply& last) {
  ++work.slots;
  for (Line* line : {&work.ready, &work.vouched, &work.unsent, &work.ambiguous})
    while (!line->empty()) outcome(line->pop_front(), Verdict::released, false, next, last);
  hand.resume(work);
  --work.slots;
  hand.touch(work);
}

void Planner::State::host_fault(const LastReply& last, TimePoint now) {
  // What the drops since the last delivery were blamed on is explained now.
  std::vector<std::string> explained;
  for (const auto& [address, suspicion] : known)
    if (suspicion.strikes == 0 && suspicion.last_drop >= host.last_commit() &&
        now - suspicion.last_drop < std::chrono::minutes(15))
      explained.push_back(address);
  host.fault(now, last.reply.oneline());
  if (group) {
    const auto own = static_cast<std::uint32_t>(
        std::ranges::count_if(connections, [](const auto& c) { return c->group != nullptr; }));
    HostFault fault{last, host.until(), host.failures()};
    fault.why.at = now;
    if (group->with([&](Group& g) { return g.fault(fault, own, now); })) host.shared();
  }
  for (const std::string& address : explained) {
    const Suspicion kept = known[address];
    changes.push_back({address, std::nullopt});
    for (Line* line : {&offered, &parked})
      for (Recipient* r = line->first; r; r = r->next)
        if (r->address == address) r->doubt->recorded = false;
    known[address] = kept;  // last in order when it comes back (I3), in memory only
  }
  last_fault = last;
  last_fault->at = now;
  give_back_all(host.until(), last, true, now);
}

}  // namespace spoold::delivery
