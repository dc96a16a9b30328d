// How long does the mail of innocent recipients wait while others, or whole messages, end the connections to
// their host? At worst one minute of the host's clock, once: 75 seconds with its jitter.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr Duration at_worst = seconds(75);

/// Lets the lane run until `at`, and posts then.
TimePoint post_at(Lane& lane, TimePoint at, MessageId message, const std::vector<std::string>& to,
                  bool one_each) {
  lane.run(at);
  lane.now = std::max(lane.now, at);
  lane.post(message, to, one_each);
  return lane.now;
}

}  // namespace

TEST_CASE(
    "a server stuck at one RCPT holds back its replies to those before it: only the silent one is suspect") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    Faults faults;
    faults.culprits = {"r11@example.net"};
    faults.manners = {{"r11@example.net", Manner::silence}};
    faults.replies = Replies::held_and_flushed;
    Lane lane(usual_limits(), faults, seed, 5);
    lane.post(1, addresses(20), false);
    lane.run(start + minutes(20));
    for (const auto& [key, s] : lane.store) {
      if (s.address == "r11@example.net") continue;
      CHECK(s.delivered == 1);
      CHECK(s.finished - s.arrived <= at_worst);
      CHECK(!lane.ever_suspected.contains(s.address));
    }
  }
}

TEST_CASE("two culprits of two messages, offered again and again, are no dead host") {
  for (int quiet = 1; quiet <= 24; ++quiet) {
    CAPTURE(quiet);
    Faults faults;
    faults.culprits = {"r0@example.net", "r1@example.net"};
    Lane lane(usual_limits(), faults, 1, 5);
    lane.post(1, {"r0@example.net"}, false);
    lane.post(2, {"r1@example.net"}, false);
    const TimePoint posted = post_at(lane, start + hours(quiet), 3, {"r9@example.net"}, false);
    lane.run(posted + hours(3));
    const Stored& innocent = lane.store.at({3, 0});
    CHECK(innocent.delivered == 1);
    CHECK(innocent.finished - posted <= at_worst);
    CHECK(lane.suspicions.size() == 2);  // no fault of the host deleted what is known of them
  }
}

TEST_CASE("a message whose MAIL ends connections stops no other message") {
  struct Row {
    std::size_t members;
    bool one_each, same_addresses;
  };
  for (const Row row :
       {Row{30, true, false}, Row{30, true, true}, Row{300, true, false}, Row{300, true, true},
        Row{300, false, false}, Row{300, false, true}, Row{30, false, true}}) {
    for (const std::uint32_t connections : {1u, 20u}) {
      for (std::uint64_t seed = 0; seed < 10; ++seed) {
        CAPTURE(row.members);
        CAPTURE(row.one_each);
        CAPTURE(row.same_addresses);
        CAPTURE(connections);
        CAPTURE(seed);
        std::mt19937_64 random(seed + 1);
        Faults faults;
        faults.kills_at_mail = {1};
        Lane lane(usual_limits(), faults, seed, connections);
        const auto all = addresses(row.members);
        lane.post(1, all, row.one_each);
        TimePoint at = start;
        for (MessageId m = 2; m < 12; ++m) {
          at += seconds(m == 2 ? 0 : 600 + random() % 7200);
          const auto i = random() % row.members;
          at = post_at(lane, at, m,
                       {row.same_addresses ? all[i] : "other" + std::to_string(i) + "@example.net"},
                       random() % 2 == 0);
        }
        lane.run(at + hours(5));
        for (const auto& [key, s] : lane.store) {
          if (s.message == 1) {
            CHECK(s.charged == 0);
            continue;
          }
          CHECK(s.delivered == 1);
          CHECK(s.finished - s.arrived <= at_worst);
        }
        CHECK(lane.suspicions.empty());
      }
    }
  }
}

TEST_CASE("silent culprits, with the time limits of the protocol, hold nobody for minutes") {
  for (const bool one_each : {false, true}) {
    for (const std::size_t k : {1u, 3u, 10u}) {
      for (const std::uint32_t connections : {1u, 20u}) {
        for (std::uint64_t seed = 0; seed < 20; ++seed) {
          CAPTURE(one_each);
          CAPTURE(k);
          CAPTURE(connections);
          CAPTURE(seed);
          std::mt19937_64 random(seed + 1);
          const auto all = addresses(100);
          Faults faults;
          faults.manner = Manner::silence;
          while (faults.culprits.size() < k) faults.culprits.insert(all[random() % all.size()]);
          Lane lane(usual_limits(), faults, seed, connections);
          lane.post(1, all, one_each);
          lane.run(start + hours(1));
          // One connection can only find one culprit after the other.
          const Duration most = connections == 1 ? Duration(minutes(2)) : at_worst;
          for (const auto& [key, s] : lane.store) {
            if (faults.culprits.contains(s.address)) continue;
            CHECK(s.delivered == 1);
            CHECK(s.outcomes == 1);
            CHECK(s.finished - s.arrived <= most);
          }
        }
      }
    }
  }
}

TEST_CASE(
    "a recipient whose host answers RCPT slowly is delivered, alone, with all the time of the protocol") {
  for (const bool one_each : {false, true}) {
    CAPTURE(one_each);
    Faults faults;
    faults.slow = {"r3@example.net", "r7@example.net"};
    faults.slowness = seconds(45);
    Lane lane(usual_limits(), faults, 1, 5);
    lane.post(1, addresses(10), one_each);
    lane.run(start + minutes(40));
    for (const auto& [key, s] : lane.store) {
      CHECK(s.delivered == 1);
      CHECK(s.charged == 1);
      if (!faults.slow.contains(s.address)) CHECK(s.finished - s.arrived <= at_worst);
    }
    CHECK(lane.suspicions.empty());
  }
}

TEST_CASE("a recipient that was suspect once is offered within minutes, however busy its lane is") {
  Lane lane(usual_limits(), {}, 1, 1);
  lane.round_trip = seconds(1);
  Suspicion once;
  once.parked = true;
  once.first = once.last_drop = start - hours(1);
  once.next = start - minutes(1);
  once.last_position = 3;
  lane.suspicions["once@example.net"] = once;
  lane.post(1, addresses(2000), true);
  lane.run(start + seconds(3));
  lane.post(2, {"once@example.net"}, true);
  lane.run(start + hours(3));
  const Stored& s = lane.store.at({2, 0});
  CHECK(s.delivered == 1);
  CHECK(s.outcomes == 1);
  CHECK(s.finished - s.arrived <= minutes(2));
}

TEST_CASE(
    "an ambiguous recipient does not wait for a stalled connection, nor do empty connections come and go") {
  Planner planner(usual_limits(), 1);
  planner.add(numbered(1, 2, true), start);
  const ConnectionId stalled = planner.connected("mx", start);
  REQUIRE(planner.next(stalled, start).what == Next::Do::transaction);
  const ConnectionId lost = planner.connected("mx", start);
  const Next n = planner.next(lost, start);
  REQUIRE(n.what == Next::Do::transaction);
  Observation seen = up_to_rcpt(n.transaction);
  seen.mail.reset();
  Drop drop;
  drop.oldest = Stage::mail;
  planner.dropped(lost, drop, {seen}, start);
  TimePoint now = start;
  while (now < start + minutes(1)) {
    planner.tick(now);
    if (planner.connections_wanted(1, now) > 0) break;
    REQUIRE(planner.wake_at() > now);
    now = std::min(planner.wake_at(), start + minutes(1));
  }
  CHECK(now <= start + seconds(6));
  CHECK(planner.next(planner.connected("mx", now), now).what == Next::Do::transaction);
}

TEST_CASE("a further connection that is refused beside a stalled one is not asked for again at once") {
  Planner planner(usual_limits(), 1);
  planner.add(numbered(1, 50, true), start);
  const ConnectionId stalled = planner.connected("mx", start);
  REQUIRE(planner.next(stalled, start).what == Next::Do::transaction);
  TimePoint now = start + seconds(6);
  LastReply why;
  why.reply.text = "connection refused";
  why.stage = Stage::connect;
  int tries = 0;
  for (; now < start + minutes(10); ++tries) {
    planner.tick(now);
    CHECK(planner.connections_wanted(1, now) == 1);
    planner.connect_failed(Stage::connect, why, now);
    CHECK(planner.connections_wanted(1, now) == 0);
    CHECK(planner.receptive(now));
    while (planner.connections_wanted(1, now) == 0) {  // the lane sleeps until then
      REQUIRE(planner.wake_at() > now);
      REQUIRE(planner.wake_at() < TimePoint::max());
      now = planner.wake_at();
      planner.tick(now);
    }
  }
  CHECK(tries >= 10);
  CHECK(tries <= 20);
  planner.connect_failed(Stage::connect, why, now);
  planner.dropped(stalled, {Drop::How::closed}, {}, now);
  CHECK(planner.connections_wanted(0, now) == 1);  // beside nothing it is no further connection
}

TEST_CASE("a suspect that is due comes back by time where no connection is free for it") {
  Planner planner(usual_limits(), 1);
  planner.add(numbered(1, 1, true), start);
  const ConnectionId busy = planner.connected("mx", start);
  REQUIRE(planner.next(busy, start).what == Next::Do::transaction);
  Batch batch = numbered(2, 1, true);
  batch.recipients[0].suspicion.emplace();
  batch.recipients[0].suspicion->first = batch.recipients[0].suspicion->last_drop = start - hours(1);
  planner.add(std::move(batch), start);
  TimePoint now = start;
  while (planner.wake_at() < start + hours(1)) planner.tick(now = planner.wake_at());
  CHECK(now >= start + minutes(30));
  CHECK(planner.take_outcomes().size() == 1);
}

TEST_CASE(
    "the clock is set back: the planner still names the time to wake it, and no host waits longer for it") {
  Planner planner(usual_limits(), 1);
  planner.add(numbered(1, 5, true), start);
  planner.tick(start);
  TimePoint now = start - minutes(10);
  LastReply why;
  why.reply.text = "connection refused";
  why.stage = Stage::connect;
  planner.connect_failed(Stage::connect, why, now);
  CHECK(planner.wake_at() == planner.health(now).until);
  CHECK(planner.wake_at() - now <= at_worst);
  planner.tick(now);
  now -= hours(5);
  planner.tick(now);
  CHECK(planner.wake_at() - now <= at_worst);
  CHECK_FALSE(planner.receptive(now));
}

TEST_CASE("a close between messages: of the next transaction nothing was written, and it goes on as it was") {
  Planner planner(usual_limits(), 1);
  planner.add(numbered(1, 100, false), start);
  ConnectionId id = planner.connected("mx", start);
  planner.report(id, all_accepted(planner.next(id, start).transaction), start);
  planner.add(numbered(2, 100, false), start);
  Observation begun;
  begun.message = 2;
  begun.recipients = planner.next(id, start).transaction.recipients;
  planner.dropped(id, {Drop::How::closed}, {begun}, start);
  id = planner.connected("mx", start);
  const Next n = planner.next(id, start);
  REQUIRE(n.what == Next::Do::transaction);
  CHECK(n.transaction.recipients.size() == 100);
  CHECK(n.transaction.window > 1);
}

TEST_CASE("the end of a group's fault does not end what a lane waits for on its own account") {
  Planner planner(usual_limits(), 1);
  LastReply why;
  why.reply.text = "connection refused";
  why.stage = Stage::connect;
  planner.add(numbered(1, 1, false), start);
  planner.connect_failed(Stage::connect, why, start);
  const TimePoint own = planner.health(start).until;
  planner.told({why, start + minutes(30), 3}, start);
  CHECK(planner.health(start).until == start + minutes(30));
  planner.freed();
  CHECK(planner.health(start).until == own);
}
