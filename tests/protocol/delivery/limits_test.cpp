// Limits and host faults that look like culprits (isolation.md section 4) are learned: no strikes, no
// suspects left.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;

namespace {

std::vector<std::string> addresses(std::size_t n) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < n; ++i) all.push_back("r" + std::to_string(i) + "@example.net");
  return all;
}

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
  Batch batch;
  batch.message = 1;
  batch.one_each = true;
  for (std::uint32_t i = 0; i < 50; ++i) {
    Candidate c;
    c.number = i;
    c.address = "r" + std::to_string(i) + "@example.net";
    batch.recipients.push_back(c);
  }
  planner.add(std::move(batch), start);
  CHECK(planner.connections_wanted(0, start) == 1);
  planner.connected("mx", start);
  LastReply why;
  why.reply.code = 421;
  planner.connect_failed(Stage::greeting, why, start);
  CHECK(planner.receptive(start));
  CHECK(planner.in_hand() == 50);
  CHECK(planner.health(start).state == "up");
}
