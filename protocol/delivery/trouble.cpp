// A connection is gone: who is innocent, who is suspect, and is it the host (isolation.md sections 2, 3, 5
// and 6). What the drop means for a message and its sender: message_fault.cpp.
#include <algorithm>
#include <utility>

#include "protocol/delivery/planner_state.hpp"

namespace spoold::delivery {

using Blame = Finding::Blame;

/// What is found out about a lost connection, one step after the other.
struct Planner::State::Loss {
  const Drop& drop;
  const TimePoint now;
  const std::uint32_t open_before;  // connections, this one among them
  Subject subject = Subject::unknown;
  /// The 421 is for too many refused commands, and there were some. It is evidence against nobody: what was
  /// refused has its replies, and the next connection begins with none.
  bool spent = false;
  bool hung_up = false;
  const Observation* last_heard = nullptr;

  bool behind = false;   // the oldest unanswered command was met: transactions from here on lie behind it
  bool doubt = false;    // that command was the end of a content
  bool certain = false;  // nobody else can be the cause
  bool overlapped = false;
  DropRecord record{};
  Flight guilty{};  // the transaction of the oldest unanswered command
  Recipient* suspect = nullptr;

  bool ours() const { return drop.how == Drop::How::ours; }
  void meet(const Finding& finding, const Flight& flight) {
    behind = true;
    record.finding = finding;
    record.message = flight.work->id;
  }
};

LastReply Connection::words(const Drop& drop, Stage stage, TimePoint now) const {
  if (drop.how == Drop::How::reply_421) return words(drop.reply, stage, now);
  smtp::Reply reply;
  reply.text = drop.text.empty() ? waiting_text(drop.how, stage) : drop.text;
  return words(std::move(reply), stage, now);
}

void Planner::State::dropped(ConnectionId id, const Drop& drop, const std::vector<Observation>& open,
                             TimePoint now) {
  const auto found = std::ranges::find_if(connections, [&](const auto& p) { return p->id == id; });
  if (found == connections.end()) return;
  const auto open_before = static_cast<std::uint32_t>(connections.size());
  const std::unique_ptr<Connection> owner = std::move(*found);
  Connection& c = *owner;
  connections.erase(found);
  c.part();

  Loss loss{.drop = drop, .now = now, .open_before = open_before};
  look_at(c, loss, open);
  settle_parting(c, loss.hung_up && !loss.last_heard, now);
  for (const Observation& seen : open) lose(c, loss, seen);
  return_unbegun(c);
  if (isolating == id) isolating = 0;

  if (loss.spent) {
    learned.errors_spent(c.errors, now);
    host.note_error(drop.reply.oneline(), now);
  } else if (!loss.ours()) {  // our own cut is evidence of nothing
    weigh(c, loss);
  }
  if (pending.any) carry_out(nullptr, false, now);
  settle_suspects(now);
}

void Planner::State::look_at(const Connection& c, Loss& loss, const std::vector<Observation>& open) {
  const Drop& drop = loss.drop;
  loss.hung_up = drop.how == Drop::How::closed || drop.how == Drop::How::reset;
  std::uint32_t refused = c.errors;
  for (const Observation& seen : open) {
    if (heard_of(seen)) loss.last_heard = &seen;
    refused += errors(seen);
  }
  if (drop.how != Drop::How::reply_421) return;
  loss.subject = subject(drop.reply, {}, c.remote);
  loss.spent = refused > 0 && loss.subject == Subject::errors;
}

// One transaction that was open, oldest first. The order of the branches is the rule: too many errors explain
// everything; then whoever cannot be the cause is let go; what is left holds the oldest unanswered command.
void Planner::State::lose(Connection& c, Loss& loss, const Observation& seen) {
  Flight f = take_flight(c, seen);
  if (!f.work) return;
  const Drop& drop = loss.drop;
  loss.overlapped = loss.overlapped || f.overlap;
  Finding finding = loss.behind ? Finding{} : find_blame(seen, drop, limits.lmtp);
  Open open = conclude(c, f, seen, &drop, loss.hung_up && &seen == loss.last_heard, loss.now);
  c.rcpts += open.answered;
  c.rejects += open.refused;
  c.errors += errors(seen);
  committed(c, *f.work, open.delivered, loss.now);

  if (!loss.behind && !finding.complete && loss.spent) {
    loss.behind = true;
    back_unblamed(f, open);
    return end_flight(c, f);
  }
  // The end of its content was sent and not answered. Where MAIL or RCPT was answered 421, it was not taken.
  const bool ended = seen.dot_sent && !ended_by_421(seen);
  if (ended) name_in_doubt(f.work->id, open);
  // Innocent as a whole: behind the oldest unanswered command, answered, cut by us, or begun and not written.
  const bool innocent = loss.behind || finding.complete || loss.ours() || !seen.mail_sent;
  // A peer that is slow at a RCPT takes the content behind it later: nobody can be suspected of anything.
  const bool may_arrive = ended && works_on(drop.how) && (loss.ours() || finding.blame != Blame::in_doubt);
  if (innocent || may_arrive) {
    if (may_arrive || (loss.doubt && ended)) in_doubt_behind(c, open, drop, loss.now);
    if (!loss.behind && seen.mail_sent && (finding.stopped || !finding.complete)) loss.meet(finding, f);
    for (auto* line : {&open.unsent, &open.silent, &open.accepted}) back(*line, f.kind);
    return end_flight(c, f);
  }
  // Silence behind several RCPTs of one write: a server that is stuck at one of them may hold back its replies to those
  // before it. So the oldest without a reply is not suspect: in lock-step it will be known who is.
  if (drop.how == Drop::How::timeout && finding.blame == Blame::suspect && open.silent.size() > 1 &&
      f.window > 1)
    finding.blame = Blame::ambiguous;
  loss.meet(finding, f);
  loss.doubt = finding.blame == Blame::in_doubt;
  const bool only_one = open.silent.size() == 1 && finding.blame == Blame::suspect;
  // Behind a refusal it may have been the refusal that the peer hung up with.
  loss.certain = (f.window == 1 || only_one) && !finding.after_reject;
  if (finding.blame == Blame::suspect && !open.silent.empty() && drop.how == Drop::How::reply_421)
    loss.subject = subject(drop.reply, open.silent.front()->address, c.remote);
  loss.suspect = sort_out(c, f, finding, open, drop, loss.subject, loss.now);
  loss.guilty = std::move(f);
}

void Planner::State::return_unbegun(Connection& c) {
  while (!c.flights.empty()) {
    Flight f = std::move(c.flights.front());
    c.flights.erase(c.flights.begin());
    --flying;
    back(f.recipients, f.kind);
    end_flight(c, f);
  }
}

void Planner::State::complete(const Connection& c, Loss& loss) const {
  DropRecord& record = loss.record;
  record.at = loss.now;
  record.opened = c.opened;
  record.how = loss.drop.how;
  record.in_connection = c.rcpts;
  record.rejects = c.rejects;
  record.messages = c.committed;
  record.last_was_reject = c.last_reject;
  const bool hasty = loss.drop.how == Drop::How::timeout && loss.guilty.patience > Duration{};
  record.explained = loss.guilty.kind == Flight::Kind::suspect || known_sender(record) ||
                     (hasty && record.finding.stage == Stage::mail) || (c.explained && limits.replies);
  record.named = loss.subject == Subject::recipient || loss.subject == Subject::sender;
  if (loss.suspect) record.suspect = loss.suspect->address;
}

// A limit, the host, or the suspect? In this order: a limit excuses suspects of several connections, a fault
// of the host those of this moment, and only what neither explains is the suspect's own.
void Planner::State::weigh(Connection& c, Loss& loss) {
  complete(c, loss);
  const DropRecord& record = loss.record;
  Recipient* suspect = loss.suspect;
  const TimePoint now = loss.now;

  std::vector<std::string> explained;
  // One that a limit had explained and that drops again, alone: no limit explains that.
  const bool again = suspect && suspect->doubt && suspect->doubt->released;
  const auto limit = again || record.named ? std::nullopt : learned.weigh(record, explained);
  // Words about the host count for the host once. Again at the same recipient, while others were delivered
  // in between, they are about him: an ordinary suspect. Else he would stop the host each time he is asked.
  const bool said_before = suspect && suspect->doubt && suspect->doubt->suspicion.last_drop != TimePoint{} &&
                           host.last_commit() > suspect->doubt->suspicion.last_drop;
  const bool host_words =
      (loss.subject == Subject::host || loss.subject == Subject::errors) && !said_before && !c.explained;
  const bool fault = host.dropped(record, loss.open_before, host_words, now) && (!limit || host_words);
  if (group && record.messages == 0) group->with([now](Group& g) { g.unproductive(now); });
  if (group && host_words && !fault) group->with([now](Group& g) { g.refused(now); });
  const LastReply last = c.words(loss.drop, record.finding.stage, now);
  host.note_error(last.reply.oneline(), now);
  if (loss.overlapped) host.overlap_dropped(now);
  if (limit == Learned::Limit::messages) host.overlap_on();

  const bool by_421 = loss.drop.how == Drop::How::reply_421 && limits.replies;
  if (suspect && by_421 && meaning(loss.drop.reply, c.remote).action == conf::ReplyAction::recipient_wait)
    wait_for_recipient(*std::exchange(suspect, nullptr), last, now);
  if (suspect && (limit || fault || host_words))
    excuse(c, loss, limit.has_value());
  else if (suspect)
    suspect_dropped(c, loss.guilty, *suspect, record.finding, loss.drop, loss.certain, now);
  if (limit) release(explained);
  if (loss.guilty.work) end_flight(c, loss.guilty);
  // Beside connections that are served a 421 for the pace was one too many.
  const smtp::Reply& words = loss.drop.reply;
  const bool asked = by_421 && host_words && loss.subject == Subject::host &&
                     (fault || meaning(words, c.remote).action != conf::ReplyAction::lane_slow) &&
                     ask_of_lane(words, last, now);
  if (fault && !asked) host_fault(last, now);  // last: all that is in hand by now goes back to the queue
}

// Not this recipient's fault; all the same he is the last one in order (I3).
void Planner::State::excuse(Connection& c, Loss& loss, bool by_limit) {
  Recipient& suspect = *loss.suspect;
  if (!suspect.doubt) suspect.doubt = std::make_unique<Doubt>();
  Doubt& d = *suspect.doubt;
  d.no_wait = by_limit;  // else he waits as any suspect: not at once on the next connection
  d.since = loss.now;
  if (!d.recorded) {
    describe(c, d, loss.record.finding, loss.drop, loss.now);
    known[suspect.address] = d.suspicion;
  }
  wait_as_suspect(suspect);
}

// The transaction of the oldest unanswered command. Whom the words of a 421 name is taken out first: then
// nothing is left to find out about the others. Else vouched ones come first on the next connection, and
// whoever may be the cause goes in lock-step.
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
  vouch(work, open);
  if (blame == Blame::sender || (work.one_each && blame != Blame::ambiguous)) {
    for (auto* line : {&open.silent, &open.unsent}) back(*line, f.kind);
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
  // With PIPELINING the RCPT is in the same write, and MAIL looks ambiguous: it is evidence against its
  // sender all the same. Not behind the content of another transaction: there a limit on messages ends
  // connections.
  if (finding.stage == Stage::mail && !f.overlap) sender_fault(c, work, drop, now);
  hand.touch(work, !work.vouched.empty());
  return suspect;
}

void Planner::State::vouch(Work& work, Open& open) {
  for (Recipient* r : std::exchange(open.accepted, {})) {
    r->sent = false;
    r->doubt ? wait_as_suspect(*r) : work.vouched.push_back(*r);
  }
}

void Planner::State::back_unblamed(Flight& f, Open& open) {
  Work& work = *f.work;
  vouch(work, open);
  for (auto* line : {&open.unsent, &open.silent}) back(*line, f.kind);
  hand.touch(work, !work.vouched.empty());
}

}  // namespace spoold::delivery
