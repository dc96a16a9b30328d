// What the table of replies (conf/replies.toml) asks for beyond this recipient's outcome: of the recipient, of the message at
// this lane, of the lane (README.md, Replies that ask for something). heed() gives the recipient his outcome and notes what
// else is asked for; carry_out() does it when the transaction or the drop is concluded, because it gives back the hand.
#include <algorithm>
#include <utility>

#include "protocol/delivery/planner_state.hpp"

namespace spoold::delivery {
namespace {

using conf::ReplyAction;

constexpr std::uint8_t returned_at_most = 3;
constexpr std::uint32_t refusals_that_stop = 3;  // of a post, in an hour
constexpr std::size_t messages_that_prove = 2, messages_of_many_routes = 5;
constexpr std::size_t resting_at_most = 1000, asked_at_most = 1000;
constexpr Duration usual_wait = std::chrono::minutes(10), usual_hold = std::chrono::minutes(30),
                   usual_slow = std::chrono::minutes(90), an_hour = std::chrono::hours(1);

Duration or_else(Duration wait, Duration usual) {
  return wait > Duration{} ? wait : usual;
}

Duration grown(Duration wait, std::uint32_t times) {
  for (std::uint32_t n = 0; n < times && wait < longest_silence; ++n)
    wait = std::min(wait * 2, longest_silence);
  return wait;
}

bool of_lane(ReplyAction action) {
  return action == ReplyAction::lane_slow || action == ReplyAction::lane_wait || action == ReplyAction::ours;
}

}  // namespace

/// The same words come in a row: one look at the table for all of them.
const smtp::ReplyClass& Planner::State::meaning(const smtp::Reply& reply, const std::string& remote) {
  if (!(reply == meant.reply) || remote != meant.remote)
    meant = {reply, remote,
             limits.replies ? limits.replies->classify(reply, smtp::host_in(remote)) : smtp::ReplyClass{}};
  return meant.found;
}

// The words that name a recipient or a sender decide before the table does.
Subject Planner::State::subject(const smtp::Reply& reply, std::string_view recipient,
                                const std::string& remote) {
  const Subject words = subject_of(reply, recipient);
  if (!limits.replies || (words != Subject::unknown && words != Subject::host)) return words;
  const ReplyAction action = meaning(reply, remote).action;
  if (of_lane(action)) return Subject::host;
  if (action == ReplyAction::recipient_wait) return Subject::recipient;
  return action == ReplyAction::fallback_bulk ? Subject::unknown : words;
}

// Whether the reply is about all mail of this lane. It is not when the same recipient, or the same message, gets it again and others were
// delivered in between: else a mailbox that answers every RCPT with such words would stop the lane. That we are refused is
// believed when several messages hear it with nothing delivered in between: two, and more where all mail goes by one next hop,
// which may mean the senders of a few.
Planner::State::Concern Planner::State::concern(ReplyAction action, const Recipient& r, Stage stage,
                                                TimePoint now) {
  const bool at_rcpt = stage == Stage::rcpt || limits.lmtp;
  if (at_rcpt) {
    if (asked_by.size() >= asked_at_most) asked_by.clear();
    const auto [before, fresh] = asked_by.try_emplace(r.address, host.commits());
    if (!fresh && host.commits() > before->second) return Concern::theirs;
  } else {
    Note& n = note(r.work->id, now);
    if (n.ended && host.commits() > *n.ended) return Concern::theirs;
    n.ended = host.commits();
  }
  if (action == ReplyAction::lane_wait || (action == ReplyAction::lane_slow && !at_rcpt))
    return Concern::lane;
  const MessageId message = r.work->id;
  Witness& all = witness;
  if (all.action != action || all.commits != host.commits()) {
    all = {action, {message}, r.address, host.commits()};
    return Concern::unclear;
  }
  const bool another_message = std::ranges::find(all.messages, message) == all.messages.end();
  const bool another_copy = all.address != r.address;
  if (another_message) all.messages.push_back(message);
  if (action == ReplyAction::lane_slow && all.address != r.address) return Concern::lane;
  if (all.messages.size() >= (limits.configured_next_hop ? messages_of_many_routes : messages_that_prove))
    return Concern::lane;
  return r.work->one_each && !another_message && another_copy ? Concern::message : Concern::unclear;
}

bool Planner::State::heed(Connection& c, Recipient& r, const LastReply& last, TimePoint now) {
  const smtp::ReplyClass& found = meaning(last.reply, last.remote);
  const MessageId message = r.work->id;
  switch (found.action) {
    case ReplyAction::recipient_wait:
      wait_for_recipient(r, last, now);
      return true;
    case ReplyAction::retry_now: {
      // A peer that takes nobody between two such replies says no more than "later". One that has taken mail on this
      // connection means it: others may have been told the same at the same moment.
      const bool took = std::exchange(again_commits, host.commits()) != host.commits() || c.committed > 0;
      if (took) again_in_a_row = 0;
      if (r.returned >= returned_at_most || again_in_a_row >= returned_at_most) {
        defer(r, true, deferral(c, r.attempts, now), last, now);
      } else {
        ++r.returned;
        ++again_in_a_row;
        pending.again = true;
        pending.any = true;
        back(r, Flight::Kind::plain);
      }
      return true;
    }
    case ReplyAction::post_fails:
      if (last.reply.permanent() && last.stage != Stage::rcpt && !limits.lmtp)
        refused_post(message, last, now);
      return false;
    case ReplyAction::fallback_bulk:
      defer(r, true, rest(message, or_else(found.wait, usual_wait), last, now), last, now);
      return true;
    case ReplyAction::lane_slow:
    case ReplyAction::lane_wait:
    case ReplyAction::ours:
      break;
    default:
      return false;
  }
  const bool ours = found.action == ReplyAction::ours;
  const Concern whose = concern(found.action, r, last.stage, now);
  if (whose == Concern::lane) {
    pending.any = true;
    pending.ask = Ask{found.action, found.rule, found.wait, last};
  } else if (whose == Concern::message) {
    defer(r, true, rest(message, or_else(found.wait, usual_hold), last, now), last, now);
    return true;
  } else if (ours || whose == Concern::theirs) {
    return false;  // as SMTP has it: 4xx later, 5xx never
  }
  defer(r, true, deferral(c, r.attempts, now), last, now);
  return true;
}

void Planner::State::wait_for_recipient(Recipient& r, const LastReply& last, TimePoint now) {
  const Duration wait = or_else(meaning(last.reply, last.remote).wait, usual_hold);
  if (r.doubt && r.doubt->recorded) forget_suspicion(r.address);
  defer(r, true, now + jitter.spread(grown(wait, r.attempts)), last, now);
}

// Refused for good at its MAIL, DATA or content, and no copy of it was taken in between (committed() forgets the note).
void Planner::State::refused_post(MessageId message, const LastReply& last, TimePoint now) {
  Note& n = note(message, now);
  if (n.failures == 0 || now - n.failed_from >= an_hour) {
    n.failures = 0;
    n.failed_from = now;
  } else if (const Work* work = hand.find(message); n.failed_last == now && work && !work->one_each) {
    return;  // one reply for several recipients
  }
  n.failed_last = now;
  if (++n.failures < refusals_that_stop) return;
  Resting& stopped = resting_of(message, now);
  stopped.failed = true;
  stopped.until = now + an_hour;
  stopped.last = last;
}

Planner::State::Resting& Planner::State::resting_of(MessageId message, TimePoint now) {
  if (resting.size() >= resting_at_most && !resting.contains(message))
    std::erase_if(resting, [now](const auto& one) { return one.second.until <= now; });
  if (resting.size() >= resting_at_most && !resting.contains(message)) resting.erase(resting.begin());
  pending.any = true;
  pending.message = message;
  return resting[message];
}

/// The message waits here, longer each time; until when.
TimePoint Planner::State::rest(MessageId message, Duration wait, const LastReply& last, TimePoint now) {
  Resting& one = resting_of(message, now);
  if (one.until > now) return one.until;  // transactions that were under way
  one.until = now + jitter.spread(grown(wait, one.times++));
  one.last = last;
  return one.until;
}

// What is in hand of a message that rests, or was stopped, has its outcome without being tried.
void Planner::State::settle_resting(Work& work, TimePoint now) {
  const auto found = resting.find(work.id);
  if (found == resting.end()) return;
  if (found->second.until <= now) {
    if (found->second.failed || found->second.until + longest_silence <= now) resting.erase(found);
    return;
  }
  const Resting& one = found->second;
  ++work.slots;
  for (Line* line : {&work.ready, &work.vouched, &work.unsent, &work.ambiguous})
    while (!line->empty()) {
      Recipient& r = line->pop_front();
      if (one.failed)
        outcome(r, Verdict::failed, true, {}, one.last);
      else
        defer(r, false, one.until, one.last, now);
    }
  hand.resume(work);
  --work.slots;
  hand.touch(work);
}

// `served`: somebody was delivered in the transaction whose RCPT was answered so.
void Planner::State::carry_out(Connection* c, bool served, TimePoint now) {
  const Pending done = std::exchange(pending, {});
  if (done.again && !served && c)
    c->quit = true;  // another transaction: by another connection, if this one took nothing
  if (done.message)
    if (Work* work = hand.find(done.message)) settle_resting(*work, now);
  if (!done.ask || (served && done.ask->last.stage == Stage::rcpt)) return;
  if (done.ask->action == ReplyAction::lane_slow)
    slow_down(*done.ask, now);
  else
    keep_silence(*done.ask, now);
}

void Planner::State::slow_down(const Ask& ask, TimePoint now) {
  host.slow(or_else(ask.wait, usual_slow), ask.last.reply.oneline(), now);
  paced = true;
  if (group) group->with([now](Group& g) { g.refused(now); });
}

void Planner::State::keep_silence(const Ask& ask, TimePoint now) {
  const bool ours = ask.action == ReplyAction::ours;
  LastReply last = ask.last;
  last.at = now;
  host.silence(or_else(ask.wait, ours ? usual_hold : usual_wait), last.reply.oneline(), now);
  if (ours) alarms.push_back({ask.rule, last, host.until()});
  if (group) {
    const auto own = static_cast<std::uint32_t>(
        std::ranges::count_if(connections, [](const auto& c) { return c->group != nullptr; }));
    const HostFault fault{last, host.until(), host.failures()};
    if (group->with([&](Group& g) { return g.asked(fault, this, own, now); })) host.shared();
  }
  last_fault = last;
  give_back_all(host.until(), last, true, now);
}

// The 421 that ends a connection, or a greeting: words about the host, as far as the lane believes them.
bool Planner::State::ask_of_lane(const smtp::Reply& reply, const LastReply& last, TimePoint now) {
  if (!limits.replies || reply.code < 400) return false;
  const smtp::ReplyClass& found = meaning(reply, last.remote);
  if (!of_lane(found.action)) return false;
  Ask ask{found.action, found.rule, found.wait, last};
  if (ask.action == ReplyAction::lane_slow) {
    slow_down(ask, now);
    return false;
  }
  keep_silence(ask, now);
  return true;
}

// One transaction's turn, where the group has a rate or the host a slower pace. Most lanes have neither.
bool Planner::State::take_paced(TimePoint now) {
  if (!host.pace().on(now)) {
    host.pace().end();
    paced = group_paced;
  } else if (!host.pace().take(now)) {
    return false;
  }
  if (!group_paced || group->with([now](Group& g) { return g.take_turn(now); })) return true;
  host.pace().give_back();
  return false;
}

}  // namespace spoold::delivery
