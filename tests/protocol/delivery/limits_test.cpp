// Limits and host faults that look like culprits (isolation.md section 6) are learned: no strikes, no
// suspects left.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "protocol/delivery/learned.hpp"
#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;

namespace {

void judge(const Lane& lane) {
  for (const auto& [key, s] : lane.store) {
    const std::string& who = s.address;
    CAPTURE(who);
    const auto refused = lane.faults.refused.find(s.address);
    const auto seen = lane.accepted.find({s.message, s.address});
    if (refused != lane.faults.refused.end()) {
      CHECK(s.last.reply.code == refused->second);
      CHECK(s.verdict == (refused->second >= 500 ? Verdict::failed : Verdict::deferred));
    } else {
      CHECK(s.verdict == Verdict::delivered);
      CHECK((seen == lane.accepted.end() ? 0 : seen->second) == 1);
      CHECK(s.attempts == 1);
    }
  }
  CHECK(lane.suspicions.empty());
}

Lane run(const Faults& faults, std::size_t n, bool one_each, std::uint32_t connections, int messages = 1) {
  Lane lane(usual_limits(), faults, 1, connections);
  lane.patience = std::chrono::seconds(10);
  for (int m = 1; m <= messages; ++m) lane.post(static_cast<MessageId>(m), addresses(n), one_each);
  lane.run(start + std::chrono::minutes(14));
  return lane;
}

}  // namespace

TEST_CASE("a host that closes after the 20th RCPT") {
  for (const bool of_connection : {false, true})
    for (const bool replies : {false, true})
      for (const std::uint32_t connections : {1u, 5u}) {
        CAPTURE(of_connection);
        CAPTURE(replies);
        CAPTURE(connections);
        Faults faults;
        (of_connection ? faults.rcpts_of_connection : faults.rcpts_of_transaction) = 20;
        faults.replies_to_the_last = replies;
        judge(run(faults, 300, false, connections));
      }
}

TEST_CASE("a host that closes after 20 rejects") {
  for (const bool one_each : {false, true}) {
    CAPTURE(one_each);
    Faults faults;
    faults.rejects = 20;
    for (int i = 0; i < 200; i += 2) faults.refused["r" + std::to_string(i) + "@example.net"] = 550;
    judge(run(faults, 300, one_each, 1));
  }
}

TEST_CASE("a host that hangs up after each reject") {
  for (const bool one_each : {false, true}) {
    for (const Replies replies : {Replies::at_once, Replies::held_and_flushed}) {
      CAPTURE(one_each);
      Faults faults;
      faults.hangs_up_after_reject = true;
      faults.replies = replies;
      for (int i = 5; i < 100; i += 20) faults.refused["r" + std::to_string(i) + "@example.net"] = 550;
      judge(run(faults, 100, one_each, 1));
    }
  }
}

TEST_CASE("a host that answers 550 to whoever comes after some refusals, and hangs up") {
  for (const bool one_each : {false, true})
    for (const bool chunking : {false, true})
      for (const bool pipelining : {false, true})
        for (const std::uint32_t after : {3u, 5u, 8u})
          for (const bool late : {false, true}) {
            const std::uint32_t connections = one_each ? 5 : 1;
            CAPTURE(one_each);
            CAPTURE(chunking);
            CAPTURE(pipelining);
            CAPTURE(after);
            CAPTURE(connections);
            CAPTURE(late);
            Faults faults;
            faults.drops_after = after;
            faults.closes_late = late;
            faults.chunking = chunking;
            faults.pipelining = pipelining;
            for (int i = 0; i < 200; i += 2) faults.refused["r" + std::to_string(i) + "@example.net"] = 550;
            judge(run(faults, 300, one_each, connections));
          }
}

TEST_CASE("refused when the peer hung up: asked once more, and his words are kept until then") {
  Faults faults;
  faults.drops_after = 4;
  for (int i = 0; i < 4; ++i) faults.refused["r" + std::to_string(i) + "@example.net"] = 550;
  Lane lane(usual_limits(), faults, 1, 1);
  lane.post(1, addresses(6), false);
  lane.run(start + std::chrono::seconds(1));
  const Stored& good = lane.store.at({1, 4});
  CHECK(good.verdict == Verdict::deferred);
  CHECK(good.last.reply.code == 550);
  CHECK(good.last.reply.text == "too many unknown users");
  CHECK(good.last.stage == Stage::rcpt);
  CHECK(good.attempts == 0);
  lane.run(start + std::chrono::minutes(5));
  judge(lane);
  CHECK(lane.connects <= 3);
}

TEST_CASE(
    "refused when the peer hung up, and refused again as the first of a connection: that is the verdict") {
  Faults faults;
  faults.rejects = 4;  // it hangs up with its fourth refusal
  for (int i = 0; i < 4; ++i) faults.refused["r" + std::to_string(i) + "@example.net"] = 550;
  for (const bool one_each : {false, true}) {
    Lane lane(usual_limits(), faults, 1, 1);
    lane.post(1, addresses(6), one_each);
    lane.run(start + std::chrono::minutes(5));
    judge(lane);
    const Stored& last = lane.store.at({1, 3});
    CHECK(last.outcomes == 2);
    CHECK(last.attempts == 1);
    std::size_t asked = 0;
    for (const ConnectionLog& log : lane.logs)
      asked += static_cast<std::size_t>(std::ranges::count(log.commands, "RCPT r3@example.net"));
    CHECK(asked == 2);
  }
}

TEST_CASE(
    "refused for good, and nothing heard since: the verdict waits for a word, for our leave or for an edit") {
  enum class Then { answered, left, withdrawn, hung_up };
  for (const Then then : {Then::answered, Then::left, Then::withdrawn, Then::hung_up}) {
    CAPTURE(static_cast<int>(then));
    Planner planner(usual_limits(), 1);
    planner.add(numbered(1, 5, true), start);
    const ConnectionId id = planner.connected("mx", start);
    const auto refused = [&] {
      const Next next = planner.next(id, start);
      REQUIRE(next.what == Next::Do::transaction);
      Observation seen = up_to_rcpt(next.transaction);
      seen.rcpt = {smtp::Reply{550, {5, 1, 1}, "unknown"}};
      planner.report(id, seen, start);
      return seen.recipients.front();
    };
    for (int i = 0; i < 3; ++i) refused();
    CHECK(planner.take_outcomes().size() == 3);
    const std::uint32_t fourth = refused();
    CHECK(planner.take_outcomes().empty());
    CHECK(planner.in_hand() == 2);
    Verdict expected = Verdict::failed;
    if (then == Then::answered) {
      refused();
    } else if (then == Then::left) {
      planner.closed(id, start);
    } else if (then == Then::hung_up) {
      planner.dropped(id, {Drop::How::closed}, {}, start);
      expected = Verdict::deferred;
    } else {
      CHECK(planner.withdraw(1, fourth) == Withdrawal::withdrawn);
      planner.closed(id, start);
    }
    const auto outcomes = planner.take_outcomes();
    CHECK(planner.in_hand() == 1);
    if (then == Then::withdrawn) {
      CHECK(outcomes.empty());
      continue;
    }
    REQUIRE(outcomes.size() == 1);
    const Outcome& o = outcomes.front().second;
    CHECK(o.number == fourth);
    CHECK(o.verdict == expected);
    CHECK(o.charged == (expected == Verdict::failed));
    CHECK(o.last.reply.code == 550);
    CHECK(o.last.stage == Stage::rcpt);
  }
}

TEST_CASE("a host that closes after 3 seconds") {
  for (const bool one_each : {false, true})
    for (const std::uint32_t connections : {1u, 5u}) {
      CAPTURE(one_each);
      CAPTURE(connections);
      Faults faults;
      faults.lives = std::chrono::seconds(3);
      judge(run(faults, 2000, one_each, connections));
    }
}

TEST_CASE("a host that closes after every 10th message keeps 0.8 of its rate") {
  for (const std::uint32_t connections : {1u, 5u}) {
    CAPTURE(connections);
    const Lane free = run({}, 2000, true, connections);
    Faults faults;
    faults.messages = 10;
    const Lane closing = run(faults, 2000, true, connections);
    judge(closing);
    // Although TCP and EHLO of a new connection cost two round trips for ten messages.
    CHECK(static_cast<double>((free.now - start).count()) /
              static_cast<double>((closing.now - start).count()) >=
          0.8);
    CHECK(closing.drops <= 3 + connections);
  }
}

TEST_CASE(
    "a dead host: nobody is charged, its clock goes 1, 2, 4 minutes, then it is probed with one connection") {
  Faults faults;
  faults.down = true;
  Lane lane(usual_limits(), faults, 1, 20);
  lane.post(1, addresses(500), false);
  lane.run(start + std::chrono::minutes(10));
  CHECK(lane.connects <= 4);
  for (const auto& [key, s] : lane.store) {
    CHECK(s.attempts == 0);
    CHECK(s.verdict == Verdict::released);
  }
  lane.faults.down = false;
  lane.run(start + std::chrono::minutes(30));
  CHECK(lane.all_final());
  judge(lane);
}

TEST_CASE("a dead host: recipients past their lifetime expire with its failed attempt") {
  Faults faults;
  faults.down = true;
  Lane lane(usual_limits(), faults, 1, 20);
  lane.post(1, addresses(10), false);
  lane.run(start + std::chrono::hours(24 * 5 + 2));
  for (const auto& [key, s] : lane.store) {
    CHECK(s.verdict == Verdict::expired);
    CHECK(s.last.stage == Stage::connect);
  }
}

TEST_CASE("too many recipients: the next transaction takes them, uncharged") {
  Faults faults;
  faults.too_many_after = 30;
  const Lane lane = run(faults, 100, false, 1);
  judge(lane);
  CHECK(lane.connects == 1);
}

TEST_CASE("greylisting: after a row of identical 4xx the rest of the route is left alone") {
  Faults faults;
  for (const auto& address : addresses(400)) faults.refused[address] = 451;
  Lane lane(usual_limits(), faults, 1, 1);
  lane.post(1, addresses(400), false);
  lane.run(start + std::chrono::minutes(4));
  std::size_t asked = 0;
  for (const auto& [key, s] : lane.store) asked += s.attempts;
  CHECK(asked < 60);
  lane.faults.refused.clear();
  lane.run(start + std::chrono::minutes(30));
  CHECK(lane.all_final());
}

TEST_CASE(
    "what was learned of age and messages is unlearned: it grows by a quarter a day, or a suspect disproves "
    "it") {
  const auto drop = [](TimePoint opened, const char* suspect, std::uint32_t messages) {
    DropRecord d;
    d.opened = opened;
    d.at = opened + std::chrono::seconds(3);
    d.finding.blame = messages > 0 ? Finding::Blame::ambiguous : Finding::Blame::suspect;
    d.messages = messages;
    d.suspect = suspect;
    return d;
  };
  const TimePoint later = start + std::chrono::minutes(1);
  const auto days = [&later](int n) { return later + std::chrono::hours(24 * n + 1); };
  std::vector<std::string> explained;
  Learned two_tarpits;
  REQUIRE_FALSE(two_tarpits.weigh(drop(start, "a@x", 0), explained));
  REQUIRE(two_tarpits.weigh(drop(later, "b@x", 0), explained) == Learned::Limit::time);
  CHECK(two_tarpits.age(later) == std::chrono::seconds(3));
  CHECK(two_tarpits.age(days(1)) == Duration(3751));
  CHECK(two_tarpits.age(days(20)) > std::chrono::minutes(4));
  two_tarpits.disbelieve();  // one of them was offered alone, and dropped again
  CHECK(two_tarpits.age(later) == Duration{});

  Learned ten_messages;
  REQUIRE_FALSE(ten_messages.weigh(drop(start, "", 10), explained));
  REQUIRE(ten_messages.weigh(drop(later, "", 10), explained) == Learned::Limit::messages);
  CHECK(ten_messages.messages(later) == 10);
  CHECK(ten_messages.messages(days(1)) == 13);
  HostMemory memory;
  ten_messages.remember(memory);
  Learned restored;
  restored.restore(memory);
  CHECK(restored.messages(later) == 10);
  CHECK(restored.messages(days(1)) == 13);
}

TEST_CASE("421 that speaks of the host is no suspicion of the recipient") {
  Faults faults;
  faults.culprits = {"r7@example.net"};
  faults.manner = Manner::reply_421;
  faults.words_421 = "too many connections, shutting down";
  Lane lane(usual_limits(), faults, 1, 1);
  lane.post(1, addresses(20), false);
  lane.run(start + std::chrono::seconds(30));
  CHECK(lane.suspicions.empty());
  lane.faults.culprits.clear();
  lane.run(start + std::chrono::minutes(20));
  judge(lane);
}

TEST_CASE("a connection limit below ours: refused connections beside open ones are no host fault") {
  Planner planner(usual_limits(), 1);
  planner.add(numbered(1, 50, true), start);
  CHECK(planner.connections_wanted(0, start) == 1);
  planner.connected("mx", start);
  LastReply why;
  why.reply.code = 421;
  planner.connect_failed(Stage::greeting, why, start);
  CHECK(planner.receptive(start));
  CHECK(planner.in_hand() == 50);
  CHECK(planner.health(start).state == "up");
}
