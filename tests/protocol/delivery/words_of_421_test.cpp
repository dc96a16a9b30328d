// A 421 means what its words are about: one recipient stops neither the host nor another list, and a peer that
// counts errors makes nobody a suspect.
#include <doctest/doctest.h>

#include <algorithm>
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

Faults words(std::set<std::string> culprits, smtp::EnhancedStatus status, std::string text) {
  Faults faults;
  faults.culprits = std::move(culprits);
  faults.manner = Manner::reply_421;
  faults.status_421 = status;
  faults.words_421 = std::move(text);
  return faults;
}

std::size_t asked(const Lane& lane, const std::string& address) {
  std::size_t times = 0;
  for (const ConnectionLog& log : lane.logs)
    times += static_cast<std::size_t>(std::ranges::count(log.commands, "RCPT " + address));
  return times;
}

/// All but the culprits and the dead ones of `message` are delivered, once, uncharged, within `limit`.
void judge(const Lane& lane, MessageId message, Duration limit) {
  std::size_t wrong = 0, suspected = 0;
  Duration worst{};
  for (const auto& [key, s] : lane.store) {
    if (key.first != message || lane.faults.culprits.contains(s.address)) continue;
    if (lane.faults.refused.contains(s.address)) {
      wrong += s.verdict != Verdict::failed;
      continue;
    }
    const auto copies = lane.accepted.find({message, s.address});
    wrong += s.verdict != Verdict::delivered || s.attempts != 1 || copies == lane.accepted.end() ||
             copies->second != 1;
    worst = std::max(worst, s.finished - s.arrived);
    suspected += lane.suspicions.contains(s.address);
  }
  CHECK(wrong == 0);
  CHECK(suspected == 0);
  CHECK(worst <= limit);
}

/// A message to one innocent every ten minutes, for a day: how long the slowest waited, and how many did.
struct Waits {
  Duration worst{};
  int late = 0;
};

Waits a_day_beside(Lane& lane) {
  Waits waits;
  for (MessageId m = 100; m < 100 + 6 * 24; ++m) {
    lane.now = std::max(lane.now, start + (minutes(10) + seconds(7)) * static_cast<int>(m - 99));
    const TimePoint at = lane.now;
    lane.post(m, {"r3@example.net"}, false);
    lane.run(at + minutes(10));
    const Stored& s = lane.store.at({m, 0});
    const Duration took = s.final ? s.finished - at : Duration(minutes(10));
    waits.worst = std::max(waits.worst, took);
    waits.late += took > seconds(5);
  }
  return waits;
}

}  // namespace

TEST_CASE(
    "421 4.7.0 that names its recipient: the others are delivered at once, the host's clock does not move") {
  for (const std::size_t culprits : {1u, 3u})
    for (const bool one_each : {false, true})
      for (const bool chunking : {false, true}) {
        CAPTURE(culprits);
        CAPTURE(one_each);
        CAPTURE(chunking);
        std::set<std::string> these;
        for (std::size_t i = 0; i < culprits; ++i)
          these.insert("r" + std::to_string(30 * i + 7) + "@example.net");
        Faults faults = words(these, {4, 7, 0}, "<%r>: Recipient address rejected: go away");
        faults.chunking = chunking;
        Lane lane(usual_limits(), faults, 1, 20);
        lane.post(1, addresses(101), one_each);
        lane.post(2, {"x@example.net"}, one_each);
        lane.run(start + seconds(70));
        judge(lane, 1, seconds(5));
        judge(lane, 2, seconds(1));
        for (const std::string& address : these) CHECK(asked(lane, address) <= 2);
      }
}

TEST_CASE("421 with words about the host at one recipient stops the host once, not every minute") {
  for (const char* text : {"rate limit for this recipient exceeded", "closing transmission channel"}) {
    CAPTURE(text);
    Lane lane(usual_limits(), words({"r7@example.net"}, {}, text), 1, 5);
    lane.post(1, addresses(20), false);
    lane.run(start + minutes(1));
    const Waits waits = a_day_beside(lane);
    judge(lane, 1, seconds(75));
    CHECK(waits.late <= 1);
    CHECK(waits.worst <= seconds(75));
    CHECK(asked(lane, "r7@example.net") <= 12);
    REQUIRE(lane.suspicions.contains("r7@example.net"));
    CHECK(lane.suspicions.at("r7@example.net").strikes >= 3);
  }
}

TEST_CASE(
    "VERP: one recipient always answered 421 with words about the host is asked once, not on each "
    "connection") {
  for (const bool chunking : {false, true}) {
    Faults faults = words({"r50@example.net"}, {4, 7, 0}, "try again later");
    faults.chunking = chunking;
    Lane lane(usual_limits(), faults, 1, 20);
    lane.post(1, addresses(101), true);
    lane.run(start + minutes(10));
    judge(lane, 1, seconds(75));
    CHECK(asked(lane, "r50@example.net") <= 2);
    const Waits waits = a_day_beside(lane);
    CHECK(waits.late <= 1);
    CHECK(waits.worst <= seconds(75));
  }
}

TEST_CASE("a sender that is answered 421 at RCPT: no recipient is suspected, other senders' mail goes on") {
  // The simulated host refuses by recipient: these are the members of the refused list.
  std::set<std::string> members;
  for (int i = 0; i < 10; ++i) members.insert("m" + std::to_string(i) + "@example.net");
  for (const bool one_each : {false, true}) {
    Lane lane(usual_limits(), words(members, {4, 7, 1}, "<list@example.org>: Sender address rejected: no"), 1,
              5);
    lane.post(1, {members.begin(), members.end()}, one_each);
    lane.run(start + seconds(2));
    for (MessageId m = 2; m < 12; ++m) {
      const TimePoint at = lane.now;
      lane.post(m, addresses(10), one_each);
      lane.run(at + minutes(2));
      judge(lane, m, seconds(5));
    }
    CHECK(lane.suspicions.empty());
  }
}

TEST_CASE("a peer that ends a connection with too many errors: all good ones at once, nobody is suspected") {
  for (const std::uint32_t at_most : {1u, 4u, 20u})
    for (const std::size_t dead : {1u, 3u, 10u, 50u})
      for (const bool one_each : {false, true})
        for (const bool chunking : {false, true}) {
          CAPTURE(at_most);
          CAPTURE(dead);
          CAPTURE(one_each);
          CAPTURE(chunking);
          Faults faults;
          faults.errors_at_most = at_most;
          faults.chunking = chunking;
          std::vector<std::string> members = addresses(101);
          for (std::size_t i = 0; i < dead; ++i) {
            const std::string address = "dead" + std::to_string(i) + "@example.net";
            faults.refused[address] = 550;
            members.insert(members.begin() + static_cast<std::ptrdiff_t>(i * 2), address);
          }
          Lane lane(usual_limits(), faults, 1, 20);
          lane.post(1, members, one_each);
          lane.post(2, {"x@example.net"}, one_each);
          lane.run(start + seconds(70));
          judge(lane, 1, seconds(15));
          judge(lane, 2, seconds(1));
          CHECK(lane.suspicions.empty());
          for (const auto& [address, code] : faults.refused) CHECK(asked(lane, address) == 1);
        }
}

TEST_CASE("the budget of errors stays below that of the peer: no connection is lost with Debian's Postfix") {
  for (const bool one_each : {false, true}) {
    CAPTURE(one_each);
    Faults faults;
    faults.errors_at_most = 10;  // from here on Postfix delays each reply by a second
    std::vector<std::string> members = addresses(400);
    for (int i = 0; i < 100; ++i) {
      const std::string address = "dead" + std::to_string(i) + "@example.net";
      faults.refused[address] = 550;
      members.insert(members.begin() + i * 4, address);
    }
    Lane lane(usual_limits(), faults, 1, 1);
    lane.post(1, members, one_each);
    lane.run(start + minutes(1));
    judge(lane, 1, minutes(1));
    CHECK(lane.drops == 0);
  }
}
