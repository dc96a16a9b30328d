// The delivery acts as the table of replies says: what each action does to the recipient, the message and the lane.
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "conf/replies.hpp"
#include "protocol/delivery/group.hpp"
#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

// As the providers write them.
const smtp::Reply gmail_recipient{
    550,
    {5, 2, 1},
    "The user you are trying to contact is receiving mail at a rate that prevents "
    "additional messages from being delivered"};
const smtp::Reply gmail_rate{
    421, {4, 7, 28}, "Gmail has detected an unusual rate of mail originating from your IP address"};
const smtp::Reply gmail_same{
    421,
    {4, 7, 28},
    "Gmail has detected this message exceeded its quota for sending messages with the "
    "same Message-ID"};
const smtp::Reply gmail_spam{
    550, {5, 7, 1}, "Gmail has detected that this message is likely unsolicited mail"};
const smtp::Reply yahoo_ts01{
    421,
    {4, 7, 0},
    "[TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user "
    "complaints"};
const smtp::Reply microsoft_slow{451,
                                 {4, 7, 651},
                                 "The mail server [192.0.2.1] has been temporarily rate limited due to IP "
                                 "reputation"};
const smtp::Reply microsoft_ours{550,
                                 {5, 7, 515},
                                 "Access denied, sending domain lists.example does not meet the required "
                                 "authentication level"};
const smtp::Reply per_connection{450, {4, 7, 0}, "too many messages in this connection"};

Limits with_table() {
  Limits limits = usual_limits();
  limits.configured_next_hop = false;
  limits.replies = std::make_shared<const smtp::ReplyTable>(conf::built_in_replies());
  return limits;
}

Observation at_rcpt(const Transaction& t, const smtp::Reply& reply) {
  Observation seen = up_to_rcpt(t);
  seen.rcpt.assign(t.recipients.size(), reply);
  return seen;
}

Observation at_dot(const Transaction& t, const smtp::Reply& reply) {
  Observation seen = all_accepted(t);
  seen.dot = {reply};
  return seen;
}

/// What became of each recipient, by message and number.
struct Heard {
  std::map<std::pair<MessageId, std::uint32_t>, Outcome> all;
  void take(Planner& planner) {
    for (auto& [message, o] : planner.take_outcomes()) all[{message, o.number}] = o;
  }
  std::size_t count(Verdict verdict) const {
    std::size_t n = 0;
    for (const auto& [key, o] : all) n += o.verdict == verdict;
    return n;
  }
};

/// One connection, asked for transactions until it has none; each is answered. How many there were.
template <typename Answer>
std::size_t run(Planner& planner, TimePoint now, Answer&& answer) {
  const ConnectionId id = planner.connected("mx.example.net[192.0.2.9]:25", now);
  std::size_t transactions = 0;
  for (Next n = planner.next(id, now); n.what == Next::Do::transaction; n = planner.next(id, now)) {
    REQUIRE(++transactions <= 10'000);
    planner.report(id, answer(n.transaction), now);
  }
  planner.closed(id, now);
  return transactions;
}

/// One transaction whose content is answered by a 421 that ends the connection.
void drop_at_dot(Planner& planner, const smtp::Reply& reply, TimePoint now) {
  const ConnectionId id = planner.connected("mx.example.net[192.0.2.9]:25", now);
  const Next n = planner.next(id, now);
  REQUIRE(n.what == Next::Do::transaction);
  Observation seen = at_dot(n.transaction, reply);
  planner.dropped(id, {Drop::How::reply_421, Stage::dot, reply}, {seen}, now);
}

bool about(Duration is, Duration expected) {
  return is >= expected * 9 / 10 && is <= expected * 11 / 10;
}

}  // namespace

TEST_CASE("heed: recipient_wait is this recipient's, also behind a 5xx, and grows with his attempts") {
  for (const std::uint32_t attempts : {0u, 1u, 2u, 3u, 9u}) {
    Planner planner(with_table(), 1);
    Batch batch = numbered(1, 3, true);
    batch.recipients[1].attempts = attempts;
    planner.add(std::move(batch), start);
    Heard heard;
    run(planner, start, [](const Transaction& t) {
      return t.recipients.front() == 1 ? at_rcpt(t, gmail_recipient) : all_accepted(t);
    });
    heard.take(planner);
    CHECK(heard.count(Verdict::delivered) == 2);
    const Outcome& his = heard.all.at({1, 1});
    CHECK(his.verdict == Verdict::deferred);
    CHECK(his.last.reply.code == 550);
    CHECK(about(his.next_attempt - start,
                std::min<Duration>(minutes(30) * (1 << std::min(attempts, 4u)), hours(4))));
    CHECK(planner.health(start).state == "up");
  }
}

TEST_CASE("heed: recipient_wait ends with the lifetime") {
  Planner planner(with_table(), 1);
  Batch batch = numbered(1, 1, true);
  planner.add(std::move(batch), start + hours(24 * 6));
  Heard heard;
  run(planner, start + hours(24 * 6), [](const Transaction& t) { return at_rcpt(t, gmail_recipient); });
  heard.take(planner);
  CHECK(heard.count(Verdict::expired) == 1);
}

TEST_CASE(
    "heed: lane_wait is silence for the lane, then one connection, one more a minute; again soon: longer") {
  Planner planner(with_table(), 1);
  planner.add(numbered(1, 1000, true), start);
  planner.add(numbered(2, 10, true), start);
  TimePoint now = start;
  drop_at_dot(planner, gmail_rate, now);
  Heard heard;
  heard.take(planner);
  CHECK(heard.count(Verdict::released) == 1010);  // nobody is charged, nobody has failed
  CHECK_FALSE(planner.receptive(now + minutes(8)));
  CHECK(planner.connections_wanted(0, now + minutes(8)) == 0);
  CHECK(planner.health(now).state == "waiting");
  CHECK(about(planner.health(now).until - now, minutes(10)));

  now += minutes(12);
  planner.add(numbered(1, 1000, true), now);
  CHECK(planner.connections_wanted(0, now) == 1);
  const ConnectionId id = planner.connected("mx", now);
  const auto deliver = [&](int n) {
    for (int i = 0; i < n; ++i) {
      const Next next = planner.next(id, now);
      REQUIRE(next.what == Next::Do::transaction);
      planner.report(id, all_accepted(next.transaction), now);
    }
  };
  deliver(20);
  CHECK(planner.connections_wanted(1, now) == 1);  // twenty deliveries later one more, not as many more
  CHECK(planner.connections_wanted(2, now) == 0);
  now += minutes(1) + seconds(1);
  deliver(20);
  CHECK(planner.connections_wanted(2, now) == 1);
  CHECK(planner.connections_wanted(3, now) == 0);

  const Next next = planner.next(id, now);
  planner.dropped(id, {Drop::How::reply_421, Stage::dot, gmail_rate}, {at_dot(next.transaction, gmail_rate)},
                  now);
  CHECK(about(planner.health(now).until - now, minutes(20)));
}

TEST_CASE("heed: a wait that was asked for is remembered over a restart, and an operator ends it") {
  Planner planner(with_table(), 1);
  planner.add(numbered(1, 5, true), start);
  drop_at_dot(planner, yahoo_ts01, start);
  const TimePoint until = planner.health(start).until;
  CHECK(about(until - start, hours(2)));

  Planner again(with_table(), 2, planner.memory(), start + minutes(30));
  CHECK_FALSE(again.receptive(start + minutes(30)));
  CHECK(again.health(start + minutes(30)).until == until);
  again.clear_clock();
  CHECK(again.receptive(start + minutes(30)));
}

TEST_CASE("heed: lane_slow is one connection and one transaction a minute, and recovers") {
  Planner planner(with_table(), 1);
  planner.add(numbered(1, 2000, true), start);
  Heard heard;
  std::size_t n = 0;
  // Two recipients hear it: one alone may be refused for his own sake.
  run(planner, start,
      [&](const Transaction& t) { return n++ < 2 ? at_rcpt(t, microsoft_slow) : all_accepted(t); });
  heard.take(planner);
  CHECK(heard.count(Verdict::deferred) == 2);
  CHECK(heard.count(Verdict::delivered) == 0);
  CHECK(planner.health(start).state == "slow");
  const auto in = [&](Duration from, Duration until) {
    std::size_t transactions = 0;
    for (TimePoint now = start + from; now < start + until; now += seconds(10)) {
      planner.tick(now);
      CHECK(planner.connections_wanted(0, now) <= 1);
      transactions += run(planner, now, all_accepted);
    }
    return transactions;
  };
  CHECK(in(seconds(0), minutes(10)) == 9);       // one a minute
  CHECK(in(minutes(16), minutes(26)) == 20);     // two
  CHECK(in(minutes(46), minutes(49)) >= 3 * 6);  // eight, as often as was asked here
  CHECK(in(minutes(91), minutes(92)) > 1000);    // as ever
  CHECK(planner.health(start + minutes(92)).state == "up");

  Planner other(with_table(), 1);
  other.add(numbered(1, 10, true), start);
  n = 0;
  run(other, start,
      [&](const Transaction& t) { return n++ < 2 ? at_rcpt(t, microsoft_slow) : all_accepted(t); });
  Planner again(with_table(), 2, other.memory(), start + minutes(1));
  CHECK(again.health(start + minutes(1)).state == "slow");
}

TEST_CASE("heed: one mailbox that answers with words about the host does not stop or slow the lane") {
  for (const smtp::Reply& words :
       {microsoft_ours, microsoft_slow, smtp::Reply{550, {5, 7, 1}, "blocked using zen.spamhaus.org"}}) {
    Planner planner(with_table(), 1);
    Heard heard;
    for (MessageId message = 1; message <= 5; ++message) {
      planner.add(numbered(message, 10, true), start);
      run(planner, start, [&](const Transaction& t) {
        return t.recipients.front() == 4 ? at_rcpt(t, words) : all_accepted(t);
      });
    }
    heard.take(planner);
    CHECK(heard.count(Verdict::delivered) == 45);
    CHECK(planner.health(start).state == "up");
    CHECK(planner.take_alarms().empty());
  }
}

TEST_CASE("heed: fallback_bulk spreads the post's copies over time; other posts go on") {
  Planner planner(with_table(), 1);
  planner.add(numbered(1, 500, true), start);
  drop_at_dot(planner, gmail_same, start);
  planner.add(numbered(2, 10, true), start);
  Heard heard;
  run(planner, start, all_accepted);
  heard.take(planner);
  CHECK(heard.count(Verdict::delivered) == 10);
  CHECK(heard.count(Verdict::deferred) == 500);
  CHECK(about(heard.all.at({1, 499}).next_attempt - start, minutes(10)));
  CHECK_FALSE(heard.all.at({1, 499}).charged);
  // Copies that are claimed meanwhile wait too. Later a few more go, until the host refuses again: then the wait is longer.
  planner.add(numbered(1, 500, true), start + minutes(5));
  heard.take(planner);
  CHECK(heard.all.at({1, 3}).verdict == Verdict::deferred);
  const TimePoint later = start + minutes(12);
  planner.add(numbered(1, 500, true), later);
  const ConnectionId id = planner.connected("mx", later);
  for (int i = 0; i < 50; ++i) planner.report(id, all_accepted(planner.next(id, later).transaction), later);
  planner.dropped(id, {Drop::How::reply_421, Stage::dot, gmail_same},
                  {at_dot(planner.next(id, later).transaction, gmail_same)}, later);
  heard.take(planner);
  CHECK(about(heard.all.at({1, 499}).next_attempt - later, minutes(20)));
}

TEST_CASE(
    "heed: a post refused three times in an hour fails at this lane, but not if it was accepted in between") {
  for (const bool accepted_between : {false, true}) {
    Planner planner(with_table(), 1);
    planner.add(numbered(1, 300, true), start);
    planner.add(numbered(2, 5, true), start);
    Heard heard;
    TimePoint now = start;
    std::size_t copies = 0, tried = 0;
    while (planner.in_hand() > 0) {
      const ConnectionId id = planner.connected("mx", now);
      for (Next n = planner.next(id, now); n.what == Next::Do::transaction; n = planner.next(id, now)) {
        now += seconds(1);
        tried += n.transaction.message == 1;
        const bool refused = n.transaction.message == 1 && !(accepted_between && ++copies % 3 == 0);
        planner.report(id, refused ? at_dot(n.transaction, gmail_spam) : all_accepted(n.transaction), now);
      }
      planner.closed(id, now);
    }
    heard.take(planner);
    CHECK(heard.all.at({2, 4}).verdict == Verdict::delivered);
    const Outcome& last = heard.all.at({1, 299});
    if (accepted_between) {
      CHECK(heard.count(Verdict::delivered) == 105);
      CHECK(heard.count(Verdict::failed) == 200);
      continue;
    }
    CHECK(tried == 3);
    CHECK(heard.count(Verdict::failed) == 300);
    CHECK(last.last.reply.text == gmail_spam.text);
    CHECK_FALSE(last.alone);
    CHECK(last.last.stage == Stage::dot);
    // What comes later of the post fails too, without a try.
    planner.add(numbered(1, 3, true), now + minutes(5));
    heard.take(planner);
    CHECK(planner.in_hand() == 0);
  }
}

TEST_CASE("heed: a post that recipients refuse, each for himself, goes on to the others") {
  Planner planner(with_table(), 1);
  planner.add(numbered(1, 100, true), start);
  Heard heard;
  std::size_t n = 0;
  while (planner.in_hand() > 0)
    run(planner, start, [&](const Transaction& t) {
      return n++ < 50 ? at_rcpt(t, {550, {5, 7, 1}, "content policy: rejected"}) : all_accepted(t);
    });
  heard.take(planner);
  CHECK(heard.count(Verdict::failed) == 50);
  CHECK(heard.count(Verdict::delivered) == 50);
}

TEST_CASE("heed: ours holds the lane when two messages hear it, and raises one alarm") {
  Planner planner(with_table(), 1);
  for (MessageId message = 1; message <= 20; ++message) planner.add(numbered(message, 3, true), start);
  Heard heard;
  const std::size_t transactions =
      run(planner, start, [](const Transaction& t) { return at_dot(t, microsoft_ours); });
  heard.take(planner);
  CHECK(transactions == 2);
  CHECK(heard.count(Verdict::failed) == 1);  // before it was known whom it is about
  CHECK(heard.count(Verdict::failed) + heard.count(Verdict::deferred) + heard.count(Verdict::released) == 60);
  CHECK_FALSE(planner.receptive(start + minutes(20)));
  const auto alarms = planner.take_alarms();
  REQUIRE(alarms.size() == 1);
  CHECK(alarms[0].rule == "authentication");
  CHECK(alarms[0].last.reply.text == microsoft_ours.text);
  CHECK(about(alarms[0].until - start, minutes(30)));

  // One connection tries again; nobody's mail is lost by it, and the hold is longer.
  const TimePoint later = start + minutes(40);
  planner.add(numbered(30, 1, true), later);
  planner.add(numbered(31, 1, true), later);
  run(planner, later, [](const Transaction& t) { return at_dot(t, microsoft_ours); });
  CHECK(about(planner.health(later).until - later, hours(1)));
}

TEST_CASE(
    "heed: ours, where all mail goes by one next hop, must be met by more messages than one sender may "
    "send") {
  for (const std::uint32_t messages : {4u, 5u}) {
    Limits limits = with_table();
    limits.configured_next_hop = true;
    Planner planner(limits, 1);
    for (MessageId message = 1; message <= messages; ++message)
      planner.add(numbered(message, 1, false), start);
    run(planner, start, [](const Transaction& t) {
      return at_rcpt(t, {553, {5, 7, 1}, "sender address rejected"});
    });
    CHECK(planner.receptive(start) == (messages < 5));
    CHECK(planner.take_alarms().size() == (messages < 5 ? 0 : 1));
  }
}

TEST_CASE("heed: ours of one message makes that message wait, not the lane") {
  Planner planner(with_table(), 1);
  planner.add(numbered(1, 200, true), start);
  Heard heard;
  TimePoint now = start;
  const ConnectionId id = planner.connected("mx", now);
  for (Next n = planner.next(id, now); n.what == Next::Do::transaction; n = planner.next(id, now)) {
    now += seconds(1);
    planner.report(id, at_dot(n.transaction, microsoft_ours), now);
  }
  heard.take(planner);
  CHECK(heard.count(Verdict::failed) == 1);
  CHECK(heard.count(Verdict::deferred) == 199);
  CHECK(planner.receptive(now));
  planner.add(numbered(2, 10, true), now);
  run(planner, now, all_accepted);
  heard.take(planner);
  CHECK(heard.count(Verdict::delivered) == 10);
}

TEST_CASE("heed: a greeting that says that we are blocked holds the lane, with an alarm") {
  Planner planner(with_table(), 1);
  planner.add(numbered(1, 5, true), start);
  LastReply why;
  why.reply = {554, {5, 7, 1}, "Service unavailable; client host [192.0.2.1] blocked using zen.spamhaus.org"};
  why.stage = Stage::greeting;
  why.remote = "mx.example.net[192.0.2.9]:25";
  planner.connect_failed(Stage::greeting, why, start);
  CHECK(planner.take_alarms().size() == 1);
  CHECK(about(planner.health(start).until - start, minutes(30)));
  CHECK(planner.take_outcomes().size() == 5);
}

TEST_CASE("heed: retry_now is another connection at once, but not without end") {
  for (const std::size_t limit : {std::size_t{4}, std::size_t{0}}) {
    Planner planner(with_table(), 1);
    planner.add(numbered(1, 40, true), start);
    Heard heard;
    std::size_t connections = 0;
    while (planner.in_hand() > 0) {
      REQUIRE(++connections < 1000);
      std::size_t n = 0;
      run(planner, start, [&](const Transaction& t) {
        if (n++ < limit) return all_accepted(t);
        Observation seen = up_to_rcpt(t);
        seen.mail = per_connection;
        seen.rcpts_sent = 0;
        return seen;
      });
    }
    heard.take(planner);
    CHECK(heard.all.size() == 40);
    if (limit > 0) CHECK(heard.count(Verdict::delivered) == 40);
    CHECK(heard.count(Verdict::failed) == 0);
    if (limit == 0) CHECK(connections <= 20);  // nothing was taken in between: the message waits
    if (limit > 0) CHECK(connections == 10);
  }
}

TEST_CASE("heed: several connections that reach the peer's limit at the same moment defer nobody") {
  Planner planner(with_table(), 1);
  planner.add(numbered(1, 40, true), start);
  std::vector<ConnectionId> open;
  for (int i = 0; i < 5; ++i) open.push_back(planner.connected("mx.example.net[192.0.2.9]:25", start));
  for (const bool takes : {true, false}) {
    std::vector<std::pair<ConnectionId, Observation>> answered;
    for (const ConnectionId id : open) {
      const Next n = planner.next(id, start);
      REQUIRE(n.what == Next::Do::transaction);
      Observation seen = takes ? all_accepted(n.transaction) : up_to_rcpt(n.transaction);
      if (!takes) seen.mail = per_connection, seen.rcpts_sent = 0;
      answered.emplace_back(id, seen);
    }
    for (const auto& [id, seen] : answered) planner.report(id, seen, start);
  }
  Heard heard;
  heard.take(planner);
  CHECK(heard.count(Verdict::delivered) == 5);
  CHECK(heard.count(Verdict::deferred) == 0);
}

TEST_CASE("heed: messages of a connection, as the table of providers says, until a limit is learned") {
  Limits limits = with_table();
  limits.messages = 5;
  Planner planner(limits, 1);
  planner.add(numbered(1, 20, true), start);
  for (int i = 0; i < 4; ++i) CHECK(run(planner, start, all_accepted) == 5);
  CHECK(planner.in_hand() == 0);
}

TEST_CASE("heed: the provider is left alone when a second lane is asked, or no other is connected") {
  const auto fault = [](TimePoint until) {
    HostFault f;
    f.why.stage = Stage::dot;
    f.why.reply = gmail_rate;
    f.until = until;
    return f;
  };
  GroupRules rules;
  rules.name = "google";
  rules.connections = 20;
  int a = 0, b = 0;
  Group g;
  g.set(rules);
  for (const char* route : {"a.test", "b.test", "c.test"}) {
    CHECK(g.take(route, 20, false, false, start).granted);
    g.connected();
  }
  g.parted();  // the one that was asked
  g.give(false);
  CHECK_FALSE(g.asked(fault(start + minutes(10)), &a, 0, start));
  CHECK(g.take("d.test", 20, false, false, start + minutes(1)).granted == false);  // fewer than before
  CHECK_FALSE(g.take("d.test", 20, false, false, start + minutes(1)).fault);
  CHECK(g.asked(fault(start + minutes(11)), &b, 0, start + minutes(1)));
  CHECK(g.take("e.test", 20, false, false, start + minutes(2)).fault.has_value());
  g.answered(start + minutes(3));  // by a connection that was open before
  CHECK(g.take("e.test", 20, false, false, start + minutes(3)).fault.has_value());
  g.parted();
  g.parted();
  g.give(false);
  g.give(false);
  CHECK(g.take("a.test", 20, false, false, start + minutes(12)).granted);
  CHECK_FALSE(g.take("b.test", 20, false, false, start + minutes(12)).granted);
  g.connected();
  g.answered(start + minutes(12));
  CHECK(g.take("b.test", 20, false, false, start + minutes(12)).granted);
  CHECK_FALSE(g.take("c.test", 20, false, false, start + minutes(12)).granted);
}
