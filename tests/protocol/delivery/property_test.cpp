// I1-I4 as properties over random remotes: whatever closes when, nothing heard is lost, nobody innocent is
// charged, nothing is sent twice, and everybody comes to an end.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "protocol/delivery/retry.hpp"
#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;

namespace {

std::string address(std::size_t i) {
  return "r" + std::to_string(i) + "@example.net";
}

}  // namespace

TEST_CASE("I1-I4 over random hosts") {
  const bool ok = rc::check([] {
    const auto n = *rc::gen::inRange<std::size_t>(1, 120);
    Faults faults;
    for (const auto i : *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, n)))
      if (faults.culprits.size() < 6) faults.culprits.insert(address(i));
    for (const auto i : *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, n)))
      if (!faults.culprits.contains(address(i)))
        faults.refused[address(i)] = *rc::gen::element(450, 550, 551);
    faults.manner = *rc::gen::element(Manner::fin, Manner::rst, Manner::reply_421, Manner::silence);
    faults.replies = *rc::gen::element(Replies::at_once, Replies::held_and_flushed);
    if (faults.manner == Manner::silence)
      faults.replies = Replies::at_once;  // held back it would tell nothing at all
    faults.pipelining = *rc::gen::arbitrary<bool>();
    faults.chunking = *rc::gen::arbitrary<bool>();
    faults.unwritten = *rc::gen::inRange<std::size_t>(0, 40);
    const bool one_each = *rc::gen::arbitrary<bool>();
    const auto connections = *rc::gen::inRange<std::uint32_t>(1, 20);
    const auto messages = *rc::gen::inRange<MessageId>(1, 4);
    Limits limits = usual_limits();
    limits.recipients_per_transaction = *rc::gen::element(1u, 7u, 50u, 100u);
    Lane lane(limits, faults, *rc::gen::arbitrary<std::uint64_t>(), connections);
    lane.patience = std::chrono::seconds(2);
    std::vector<std::string> all;
    for (std::size_t i = 0; i < n; ++i) all.push_back(address(i));
    for (MessageId m = 1; m <= messages; ++m) lane.post(m, all, one_each);
    lane.run(start + std::chrono::minutes(40));
    for (const auto& [key, s] : lane.store) {
      const auto seen = lane.accepted.find({s.message, s.address});
      const int times = seen == lane.accepted.end() ? 0 : seen->second;
      // A reply to the dot can be lost with a silent host that holds replies back: then it waits, in doubt.
      const bool doubtful = s.verdict == Verdict::deferred && s.last.stage == Stage::dot;
      RC_ASSERT(times <= static_cast<int>(s.delivered + s.named));  // nobody twice without being named
      if (faults.culprits.contains(s.address)) {
        RC_ASSERT(times == 0 || (faults.manner == Manner::silence && s.named > 0u));
        RC_ASSERT(!s.final);
      } else if (const auto refused = faults.refused.find(s.address);
                 refused != faults.refused.end()) {  // I1
        RC_ASSERT(times == 0);
        RC_ASSERT(s.outcomes > 0u);
        RC_ASSERT(s.last.reply.code == refused->second);
        RC_ASSERT(s.final == (refused->second >= 500));
      } else {
        RC_ASSERT(times == 1 || doubtful || s.named > 0u);
        RC_ASSERT(s.delivered == 1u || doubtful);
        RC_ASSERT(s.charged <= 1u);  // I2: only its own delivery
      }
    }
    for (const auto& [who, suspicion] : lane.suspicions) RC_ASSERT(faults.culprits.contains(who));  // I2
  });
  CHECK(ok);
}

TEST_CASE("I4 on a host with limits and culprits at once: everybody else is delivered in the end") {
  const bool ok = rc::check([] {
    const auto n = *rc::gen::inRange<std::size_t>(10, 120);
    Faults faults;
    for (const auto i : *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, n)))
      if (faults.culprits.size() < 3) faults.culprits.insert(address(i));
    faults.rcpts_of_transaction = *rc::gen::element(0u, 10u, 25u);
    faults.messages = *rc::gen::element(0u, 3u, 10u);
    faults.replies_to_the_last = *rc::gen::arbitrary<bool>();
    faults.drops_after = *rc::gen::element(0u, 3u, 7u);
    faults.closes_late = *rc::gen::arbitrary<bool>();
    for (const auto i : *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, n)))
      faults.refused[address(i)] = *rc::gen::element(450, 550);
    faults.chunking = *rc::gen::arbitrary<bool>();
    const bool one_each = *rc::gen::arbitrary<bool>();
    Lane lane(usual_limits(), faults, *rc::gen::arbitrary<std::uint64_t>(),
              *rc::gen::inRange<std::uint32_t>(1, 8));
    lane.patience = std::chrono::seconds(2);
    std::vector<std::string> all;
    for (std::size_t i = 0; i < n; ++i) all.push_back(address(i));
    lane.post(1, all, one_each);
    lane.run(start + std::chrono::hours(3));
    for (const auto& [key, s] : lane.store)
      if (!faults.culprits.contains(s.address) && !faults.refused.contains(s.address))
        RC_ASSERT(s.delivered == 1u && s.charged == 1u);
  });
  CHECK(ok);
}

TEST_CASE("I1-I4 with many transactions in flight, when it is a content that kills the connection") {
  const bool ok = rc::check([] {
    const auto n = *rc::gen::inRange<std::size_t>(1, 60);
    Faults faults;
    faults.chunking = true;
    faults.kills_at_dot = {*rc::gen::inRange<MessageId>(1, 4)};
    faults.manner = *rc::gen::element(Manner::fin, Manner::rst, Manner::silence);
    faults.unwritten = *rc::gen::inRange<std::size_t>(0, 80);
    for (const auto i : *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, n)))
      faults.refused[address(i)] = *rc::gen::element(450, 550);
    Lane lane(usual_limits(), faults, *rc::gen::arbitrary<std::uint64_t>(),
              *rc::gen::inRange<std::uint32_t>(1, 5));
    lane.patience = std::chrono::seconds(2);
    std::vector<std::string> all;
    for (std::size_t i = 0; i < n; ++i) all.push_back(address(i));
    for (MessageId m = 1; m <= 3; ++m) lane.post(m, all, true);
    lane.run(start + std::chrono::hours(4));
    for (const auto& [key, s] : lane.store) {
      const auto seen = lane.accepted.find({s.message, s.address});
      const int times = seen == lane.accepted.end() ? 0 : seen->second;
      if (const auto refused = faults.refused.find(s.address); refused != faults.refused.end()) {
        RC_ASSERT(times == 0);
        RC_ASSERT(s.final == (refused->second >= 500 && s.last.reply.code == refused->second));
      } else if (faults.kills_at_dot.contains(s.message)) {
        // The end of the four hours may come while a content waits for its reply: then it is not named yet.
        const int named = static_cast<int>(s.named) + (s.in_hand ? 1 : 0);
        RC_ASSERT((times == 0 || faults.manner == Manner::silence) && times <= named);
        RC_ASSERT(!s.final && s.charged == 0u);  // its content is the cause, no recipient is
      } else {
        RC_ASSERT((times == 1 || s.named > 0u) && times <= static_cast<int>(1 + s.named));
        RC_ASSERT(s.delivered == 1u && s.charged == 1u);
      }
    }
    RC_ASSERT(lane.suspicions.empty());
  });
  CHECK(ok);
}

TEST_CASE("retry schedule: the last step repeats, jitter stays within a tenth") {
  const std::vector<Duration> schedule = {std::chrono::minutes(5), std::chrono::minutes(15)};
  CHECK(step(schedule, 0) == std::chrono::minutes(5));
  CHECK(step(schedule, 1) == std::chrono::minutes(15));
  CHECK(step(schedule, 99) == std::chrono::minutes(15));
  CHECK(step({}, 0) == std::chrono::minutes(5));
  CHECK(doubling(std::chrono::minutes(1), 1) == std::chrono::minutes(1));
  CHECK(doubling(std::chrono::minutes(1), 4) == std::chrono::minutes(8));
  CHECK(doubling(std::chrono::minutes(1), 40) == std::chrono::hours(1));
  Jitter jitter(3);
  for (int i = 0; i < 1000; ++i) {
    const double f = jitter.factor();
    CHECK(f >= 0.9);
    CHECK(f <= 1.1);
  }
}
