// Longer stories: memory across messages and restarts, strikes and poison, VERP in parallel, content in
// doubt, LMTP, edits.
#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "protocol/delivery/host.hpp"
#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;

namespace {

TimePoint last_delivery(const Lane& lane) {
  TimePoint last{};
  for (const auto& [key, s] : lane.store)
    if (s.verdict == Verdict::delivered) last = std::max(last, s.finished);
  return last;
}

std::size_t delivered(const Lane& lane) {
  return static_cast<std::size_t>(
      std::ranges::count_if(lane.store, [](const auto& s) { return s.second.delivered == 1; }));
}

}  // namespace

TEST_CASE("VERP to 10,000 through 20 connections, 50 culprits: innocents within 1.5 of the time without") {
  const auto all = addresses(10'000);
  Lane clean(usual_limits(), {}, 1, 20);
  clean.post(1, all, true);
  clean.run(start + std::chrono::minutes(14));
  for (const Manner manner : {Manner::fin, Manner::rst, Manner::reply_421}) {
    for (const Replies replies : {Replies::at_once, Replies::held_and_flushed}) {
      for (std::uint64_t seed = 0; seed < 3; ++seed) {
        Faults faults;
        faults.manner = manner;
        faults.replies = replies;
        std::mt19937_64 random(seed);
        while (faults.culprits.size() < 50) faults.culprits.insert(all[random() % all.size()]);
        Lane lane(usual_limits(), faults, seed, 20);
        lane.post(1, all, true);
        lane.run(start + std::chrono::minutes(14));
        CAPTURE(static_cast<int>(manner));
        CAPTURE(static_cast<int>(replies));
        CAPTURE(seed);
        CHECK(delivered(lane) == 9'950);
        for (const auto& [key, times] : lane.accepted) CHECK(times == 1);
        CHECK((last_delivery(lane) - start).count() <= (last_delivery(clean) - start).count() * 3 / 2);
      }
    }
  }
}

TEST_CASE("bulk to 10,000 through 20 connections, 50 culprits: innocents within two minutes") {
  const auto all = addresses(10'000);
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    Faults faults;
    std::mt19937_64 random(seed);
    while (faults.culprits.size() < 50) faults.culprits.insert(all[random() % all.size()]);
    Lane lane(usual_limits(), faults, seed, 20);
    lane.post(1, all, false);
    lane.run(start + std::chrono::minutes(14));
    CHECK(delivered(lane) == 9'950);
    CHECK(last_delivery(lane) - start <= std::chrono::minutes(2));
  }
}

TEST_CASE(
    "replies lost with the connection: the culprit is found in lock-step, the innocent beside it delivered") {
  const auto all = addresses(100);
  for (const bool one_each : {false, true}) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      Faults faults;
      faults.replies = Replies::held_and_lost;
      faults.culprits = {all[std::mt19937_64(seed)() % all.size()]};
      Lane lane(usual_limits(), faults, seed, 1);
      lane.post(1, all, one_each);
      lane.run(start + std::chrono::minutes(14));
      CAPTURE(one_each);
      CAPTURE(seed);
      std::size_t doubtful =
          0;  // content sent, its reply lost with the culprit behind it: waits, is no suspect
      for (const auto& [key, s] : lane.store)
        if (s.verdict == Verdict::deferred && s.last.stage == Stage::dot) ++doubtful;
      CHECK(doubtful <= (one_each ? 1u : 0u));
      CHECK(delivered(lane) + doubtful == 99);
      CHECK(lane.connects <= (one_each ? 5u : 3u));
      CHECK(lane.suspicions.size() == 1);
      CHECK(lane.suspicions.contains(*faults.culprits.begin()));
    }
  }
}

TEST_CASE("memory across messages: a known suspect costs the next post nothing") {
  const auto all = addresses(100);
  for (const bool one_each : {false, true}) {
    Faults faults;
    faults.culprits = {"r40@example.net"};
    Lane lane(usual_limits(), faults, 1, 1);
    lane.post(1, all, one_each);
    lane.run(start + std::chrono::minutes(2));
    CHECK(delivered(lane) == 99);
    const auto drops = lane.drops;
    const std::size_t connections = lane.logs.size();
    lane.post(2, all, one_each);
    lane.run(start + std::chrono::minutes(4));
    CHECK(delivered(lane) == 198);
    CHECK(lane.drops == drops + 1);
    // All the innocents went in the first connection of the second post.
    CHECK(lane.logs[connections].delivered == 99);
  }
}

TEST_CASE("a restart after a drop does not repeat the batch (I3)") {
  const auto all = addresses(100);
  Faults faults;
  faults.culprits = {"r40@example.net"};
  Lane before(usual_limits(), faults, 1, 1);
  before.post(1, all, false);
  while (before.drops == 0) before.run(before.now + std::chrono::milliseconds(10));
  Lane after(usual_limits(), faults, 2, 1);
  after.suspicions = before.suspicions;
  CHECK(after.suspicions.size() == 1);
  after.post(1, all, false);
  after.run(start + std::chrono::minutes(14));
  CHECK(delivered(after) == 99);
  REQUIRE(after.logs.size() > 0);
  CHECK(after.logs[0].delivered == 99);  // the suspect last and alone
}

TEST_CASE("strikes, poison and expiry; forgotten as soon as it works") {
  const auto all = addresses(5);
  for (const bool recovers : {false, true}) {
    Faults faults;
    faults.culprits = {"r2@example.net"};
    Lane lane(usual_limits(), faults, 1, 1);
    lane.post(1, all, true);
    MessageId message = 1;
    std::uint32_t strikes = 0;
    Duration longest{};
    for (int hour = 1; hour <= 24 * 6 && !lane.store.at({1, 2}).final; ++hour) {
      lane.run(start + std::chrono::hours(hour));
      lane.now = std::max(lane.now, start + std::chrono::hours(hour));
      if (hour == 48 && recovers) lane.faults.culprits.clear();
      if (hour % 3 == 0 && hour < 48)
        lane.post(++message, {"other@example.net"}, true);  // somebody else is delivered to
      if (const auto s = lane.suspicions.find("r2@example.net"); s != lane.suspicions.end()) {
        CHECK(s->second.strikes >= strikes);
        strikes = s->second.strikes;
        longest = std::max<Duration>(longest, lane.store.at({1, 2}).due - s->second.last_drop);
      }
    }
    const Stored& s = lane.store.at({1, 2});
    CHECK(strikes >= 3);
    CHECK(longest >= std::chrono::hours(5));
    if (recovers) {
      CHECK(s.verdict == Verdict::delivered);
      CHECK(lane.suspicions.empty());
    } else {
      CHECK(s.verdict == Verdict::expired);
      CHECK(s.last.reply.text == "the remote closes the connection for this recipient");
      CHECK(s.last.reply.enhanced == smtp::EnhancedStatus{4, 4, 2});
      CHECK(lane.now >= start + std::chrono::hours(24 * 5));
    }
    CHECK(lane.drops < 40);
  }
}

TEST_CASE(
    "content that kills connections: the message is held, its recipients doubtful, other messages go on") {
  for (const bool one_each : {false, true}) {
    Faults faults;
    faults.kills_at_dot = {1};
    Lane lane(usual_limits(), faults, 1, 2);
    lane.post(1, addresses(50), one_each);
    lane.post(2, addresses(50), one_each);
    lane.run(start + std::chrono::minutes(5));
    lane.post(3, addresses(50), one_each);
    lane.run(start + std::chrono::minutes(12));
    CAPTURE(one_each);
    CHECK(delivered(lane) == 100);
    REQUIRE(lane.held.size() == 1);
    CHECK(lane.held[0] == 1);
    CHECK(lane.suspicions.empty());
    std::size_t doubtful = 0;
    for (const auto& [key, s] : lane.store)
      if (s.message == 1 && s.last.stage == Stage::dot) ++doubtful;
    CHECK(doubtful <= (one_each ? 5u : 52u));
    CHECK(doubtful >= 3);
  }
}

TEST_CASE("a connection lost once after the dot: the doubtful wait, the others go on after one probe") {
  Faults faults;
  faults.kills_at_dot = {1};
  Lane lane(usual_limits(), faults, 1, 1);
  lane.post(1, addresses(50), true);
  while (lane.drops == 0) lane.run(lane.now + std::chrono::milliseconds(10));
  lane.faults.kills_at_dot.clear();
  lane.run(start + std::chrono::minutes(5));
  CHECK(delivered(lane) >= 48);
  CHECK(last_delivery(lane) - start < std::chrono::seconds(30));
  lane.run(start + std::chrono::minutes(30));
  CHECK(delivered(lane) == 50);
}

TEST_CASE(
    "CHUNKING: many in flight; a content lost in their midst leaves in doubt what was written whole, once") {
  Faults faults;
  faults.chunking = true;
  Lane lane(usual_limits(), faults, 3, 1);
  lane.post(1, addresses(200), true);
  lane.post(2, {"fatal@example.net"}, true);
  lane.faults.kills_at_dot = {2};
  lane.faults.unwritten = 5;
  lane.run(start + std::chrono::minutes(5));
  CHECK(lane.deepest > 1);
  std::size_t doubtful = 0;
  for (const auto& [key, s] : lane.store) {
    if (s.verdict == Verdict::deferred) {
      ++doubtful;
      CHECK(s.last.stage == Stage::dot);
      CHECK(s.charged == 0);
    } else {
      CHECK(s.delivered == 1);
    }
  }
  CHECK(doubtful >= 1);
  CHECK(doubtful <= 32);
  CHECK(lane.suspicions.empty());
  for (const auto& [who, times] : lane.accepted) CHECK(times == 1);
}

TEST_CASE("the depth grows with success to 32, and falls to one at a drop") {
  Faults faults;
  faults.chunking = true;
  Lane lane(usual_limits(), faults, 3, 1);
  lane.post(1, addresses(300), true);
  lane.run(start + std::chrono::minutes(1));
  CHECK(lane.deepest == 32);
  CHECK(lane.all_final());
  TimePoint last = start;
  for (const auto& [key, s] : lane.store) last = std::max(last, s.finished);
  CHECK(last - start < lane.round_trip * 300 / 10);
  Jitter jitter(1);
  const Limits limits = usual_limits();
  Host host(limits, jitter);
  CHECK(host.depth(start) == 2);
  for (int i = 0; i < 100; ++i) host.committed(start);
  CHECK(host.depth(start) == 32);
  host.dropped({}, 1, false, start);
  CHECK(host.depth(start) == 1);
  host.committed(start);
  CHECK(host.depth(start) == 2);
  host.overlap_off(start);
  CHECK(host.depth(start) == 1);
}

TEST_CASE("three culprits at the same moment look like a fault of the host, which is asked again soon") {
  Limits limits = usual_limits();
  limits.isolation_waits = {std::chrono::seconds(5)};
  const auto until_after = [&limits](TimePoint last_commit) {
    Jitter jitter(1);
    Host host(limits, jitter);
    host.committed(last_commit);
    bool fault = false;
    for (std::uint32_t open = 4; open > 1 && !fault; --open) {
      DropRecord drop;
      drop.at = start;
      drop.opened = start - std::chrono::minutes(1);
      drop.in_connection = drop.messages = open;
      drop.message = open;
      drop.finding.stage = Stage::rcpt;
      drop.suspect = "r" + std::to_string(open) + "@example.net";
      fault = host.dropped(drop, open, false, start);
    }
    CHECK(fault);
    host.fault(start, "connection closed");
    return host.until() - start;
  };
  const Duration moment = std::chrono::seconds(1), hour = std::chrono::hours(1);
  CHECK(until_after(start - moment) <= std::chrono::seconds(6));
  CHECK(until_after(start - hour) >= std::chrono::seconds(54));
}

TEST_CASE(
    "culprits at the same moment, taken for a fault of the host: each keeps the words of its own drop") {
  Planner planner(usual_limits(), 1);
  planner.add(numbered(1, 20, true), start);
  std::vector<std::pair<ConnectionId, Observation>> open;
  for (int i = 0; i < 4; ++i) {
    const ConnectionId id = planner.connected("mx", start);
    planner.report(id, all_accepted(planner.next(id, start).transaction), start);
    open.emplace_back(id, up_to_rcpt(planner.next(id, start).transaction));
  }
  planner.take_outcomes();
  const TimePoint moment = start + std::chrono::seconds(1);
  Drop drop;
  drop.oldest = Stage::rcpt;
  std::set<std::uint32_t> culprits;
  for (std::size_t i = 0; i < 3; ++i) {
    planner.dropped(open[i].first, drop, {open[i].second}, moment);
    culprits.insert(open[i].second.recipients.front());
  }
  CHECK_FALSE(planner.receptive(moment));  // a fault of the host, it seems
  const auto outcomes = planner.take_outcomes();
  CHECK(outcomes.size() == 15);  // one is still on its way
  for (const auto& [message, o] : outcomes) {
    CAPTURE(o.number);
    CHECK_FALSE(o.charged);
    CHECK(o.next_attempt <= moment + std::chrono::seconds(6));
    const bool culprit = culprits.erase(o.number) == 1;
    CHECK((o.verdict == Verdict::deferred) == culprit);
    if (culprit) CHECK(o.last.stage == Stage::rcpt);
  }
  CHECK(culprits.empty());
}

TEST_CASE("a connection lost at DATA: nobody is suspect, the batch is bisected once") {
  Faults faults;
  faults.kills_at_data = {1};
  Lane lane(usual_limits(), faults, 1, 1);
  lane.post(1, addresses(50), false);
  lane.post(2, addresses(50), false);
  lane.run(start + std::chrono::minutes(4));
  CHECK(delivered(lane) == 50);
  CHECK(lane.suspicions.empty());
  CHECK(lane.drops <= 6);
  for (const auto& [key, s] : lane.store)
    if (s.message == 1) {
      CHECK(s.verdict == Verdict::deferred);
      CHECK(s.charged == 0);
      CHECK(s.last.stage == Stage::data);
    }
}

TEST_CASE("a sender that the host hangs up on does not hold other messages") {
  Faults faults;
  faults.kills_at_mail = {1};
  Lane lane(usual_limits(), faults, 1, 1);
  lane.post(1, addresses(50), false);
  lane.post(2, addresses(50), false);
  lane.post(3, addresses(50), true);
  lane.run(start + std::chrono::minutes(4));
  CHECK(delivered(lane) == 100);
  CHECK(lane.suspicions.empty());
  CHECK(lane.drops <= 15);
  for (const auto& [key, s] : lane.store) CHECK((s.message == 1 ? s.charged == 0 : s.delivered == 1));
}

TEST_CASE("a 421 to an RCPT is no answer to the content behind it, and charges nobody else") {
  Faults faults;
  faults.chunking = true;
  faults.manner = Manner::reply_421;
  const auto all = addresses(200);
  for (const std::size_t i : {60u, 101u, 145u}) faults.culprits.insert(all[i]);
  Limits limits = usual_limits();
  limits.recipients_per_transaction = 7;
  Lane lane(limits, faults, 3, 1);
  lane.post(1, all, false);
  lane.run(start + std::chrono::minutes(40));
  for (const auto& [key, s] : lane.store) {
    if (faults.culprits.contains(s.address)) continue;
    CHECK(s.delivered == 1);
    CHECK(s.charged == 1);
  }
}

TEST_CASE("LMTP: each reply after the dot is kept, the unanswered are retried alone") {
  Limits limits = usual_limits();
  limits.lmtp = true;
  Planner planner(limits, 1);
  planner.add(numbered(9, 4, false), start);
  const ConnectionId id = planner.connected("lmtp", start);
  const Next n = planner.next(id, start);
  REQUIRE(n.what == Next::Do::transaction);
  Observation seen;
  seen.message = 9;
  seen.recipients = n.transaction.recipients;
  seen.rcpts_sent = 4;
  smtp::Reply ok, go, full;
  ok.code = 250;
  go.code = 354;
  full.code = 452;
  full.enhanced = {4, 2, 2};
  seen.mail = ok;
  seen.data = go;
  seen.mail_sent = seen.data_sent = seen.content_sent = seen.dot_sent = true;
  for (const auto number : seen.recipients) {
    CHECK(planner.sending(id, 9, number, start));
    seen.rcpt.push_back(ok);
  }
  seen.dot = {ok, full, std::nullopt, std::nullopt};
  Drop lost;
  lost.oldest = Stage::dot;
  lost.text = "closed";
  planner.dropped(id, lost, {seen}, start);
  const auto outcomes = planner.take_outcomes();
  REQUIRE(outcomes.size() == 4);
  CHECK(outcomes[0].second.verdict == Verdict::delivered);
  CHECK(outcomes[1].second.verdict == Verdict::deferred);
  CHECK(outcomes[1].second.last.reply.code == 452);
  for (std::size_t i : {2u, 3u}) {
    CHECK(outcomes[i].second.verdict == Verdict::deferred);
    CHECK_FALSE(outcomes[i].second.charged);
    CHECK(outcomes[i].second.last.stage == Stage::dot);
  }
  const auto suspects = planner.take_suspects();
  REQUIRE(suspects.size() == 2);
  CHECK(suspects[0].now->strikes == 0);
  CHECK(planner.in_hand() == 0);
}

TEST_CASE("withdrawing: idle, withdrawn before its RCPT, committed after it") {
  Planner planner(usual_limits(), 1);
  Batch batch;
  batch.message = 5;
  for (std::uint32_t i = 0; i < 6; ++i) {
    Candidate c;
    c.number = i;
    c.address = "r" + std::to_string(i) + "@example.net";
    c.isolate = i == 5;
    batch.recipients.push_back(c);
  }
  planner.add(std::move(batch), start);
  CHECK(planner.withdraw(5, 77) == Withdrawal::idle);
  CHECK(planner.withdraw(4, 0) == Withdrawal::idle);
  CHECK(planner.withdraw(5, 0) == Withdrawal::withdrawn);
  CHECK(planner.withdraw(5, 0) == Withdrawal::idle);
  CHECK(planner.withdraw(5, 5) == Withdrawal::withdrawn);  // waits among the suspects
  CHECK(planner.in_hand() == 4);
  const ConnectionId id = planner.connected("mx", start);
  const Next n = planner.next(id, start);
  REQUIRE(n.transaction.recipients == std::vector<std::uint32_t>{1, 2, 3, 4});
  CHECK(planner.sending(id, 5, 1, start));
  CHECK(planner.withdraw(5, 1) == Withdrawal::committed);
  CHECK(planner.withdraw(5, 2) == Withdrawal::withdrawn);
  CHECK_FALSE(planner.sending(id, 5, 2, start));
  CHECK(planner.sending(id, 5, 3, start));
  Observation seen;
  seen.message = 5;
  seen.recipients = n.transaction.recipients;
  seen.rcpts_sent = 4;
  seen.skipped = {2};
  smtp::Reply ok, no;
  ok.code = 250;
  no.code = 550;
  seen.mail = ok;
  seen.mail_sent = true;
  seen.rcpt = {ok, std::nullopt, std::nullopt};
  planner.dropped(id, {Drop::How::reset, Stage::rcpt}, {seen}, start);
  CHECK(planner.in_hand() == 3);
  CHECK(planner.withdraw(5, 1) == Withdrawal::withdrawn);  // vouched for, not delivered
  CHECK(planner.withdraw(5, 3) == Withdrawal::withdrawn);  // the suspect
  CHECK(planner.withdraw(5, 4) == Withdrawal::withdrawn);
  CHECK(planner.in_hand() == 0);
}

TEST_CASE("a message to three is not delayed by a message to many") {
  Lane lane(usual_limits(), {}, 1, 1);
  lane.post(1, addresses(2000), true);
  lane.post(2, addresses(3), true);
  lane.run(start + std::chrono::minutes(5));
  for (std::uint32_t i = 0; i < 3; ++i)
    CHECK(lane.store.at({2, i}).finished - start < std::chrono::milliseconds(300));
}

TEST_CASE("a recipient that an operator wants isolated goes last and alone") {
  Planner planner(usual_limits(), 1);
  Batch batch;
  batch.message = 5;
  for (std::uint32_t i = 0; i < 3; ++i) {
    Candidate c;
    c.number = i;
    c.address = "r" + std::to_string(i) + "@example.net";
    c.isolate = i == 0;
    batch.recipients.push_back(c);
  }
  planner.add(std::move(batch), start);
  const ConnectionId id = planner.connected("mx", start);
  Next n = planner.next(id, start);
  REQUIRE(n.transaction.recipients == std::vector<std::uint32_t>{1, 2});
  Observation seen;
  smtp::Reply ok;
  ok.code = 250;
  seen.message = 5;
  seen.recipients = n.transaction.recipients;
  seen.rcpts_sent = 2;
  seen.mail = seen.data = ok;
  seen.data->code = 354;
  seen.rcpt = {ok, ok};
  seen.dot = {ok};
  seen.mail_sent = seen.data_sent = seen.content_sent = seen.dot_sent = true;
  planner.report(id, seen, start);
  n = planner.next(id, start);
  REQUIRE(n.what == Next::Do::transaction);
  CHECK(n.transaction.recipients == std::vector<std::uint32_t>{0});
  CHECK(n.transaction.window == 1);
}
