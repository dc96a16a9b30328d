// What outlives a lane: the host's clock and limits, with their age; and the rate of [[destination]].
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "protocol/delivery/rate.hpp"
#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

LastReply refused() {
  LastReply why;
  why.reply.text = "cannot connect: refused";
  why.remote = "mx[127.0.0.1]:25";
  return why;
}

Batch batch(MessageId message, std::uint32_t n, const std::string& domain = "example.net",
            bool one_each = false) {
  Batch b;
  b.message = message;
  b.one_each = one_each;
  for (std::uint32_t i = 0; i < n; ++i) {
    Candidate c;
    c.number = i;
    c.address =
        "r" + std::to_string(i) + "@" + (domain.empty() ? "d" + std::to_string(i / 2) + ".example" : domain);
    c.arrived = start;
    b.recipients.push_back(std::move(c));
  }
  return b;
}

}  // namespace

TEST_CASE("the host's clock outlives the lane: a dead host is not tried sooner because of a restart") {
  Planner first(usual_limits(), 1);
  first.add(batch(1, 3), start);
  CHECK(first.connections_wanted(0, start) == 1);
  first.connect_failed(Stage::connect, refused(), start);
  const auto outcomes = first.take_outcomes();
  REQUIRE(outcomes.size() == 3);
  CHECK(outcomes[0].second.verdict == Verdict::released);
  CHECK(first.forgettable(start));
  const HostMemory memory = first.memory();
  CHECK(memory.until >= start + seconds(50));
  CHECK(memory.last_error == "cannot connect: refused");

  Planner second(usual_limits(), 2, memory, start + seconds(1));
  CHECK(second.memory() == memory);
  CHECK_FALSE(second.receptive(start + seconds(1)));
  CHECK(second.receptive(memory.until));
  second.add(batch(1, 300), memory.until);
  CHECK(second.connections_wanted(0, memory.until) == 1);  // a probe
  CHECK(second.connections_wanted(1, memory.until) == 0);
  CHECK(second.health(memory.until).state == "half-open");
  // It fails again: twice as long.
  second.connect_failed(Stage::connect, refused(), memory.until);
  CHECK(second.memory().until - memory.until >= seconds(100));
  second.clear_clock();
  CHECK(second.receptive(memory.until));
}

TEST_CASE("a learned limit is kept with its age, and forgotten after 30 days") {
  Faults faults;
  faults.rcpts_of_transaction = 20;
  Lane lane(usual_limits(), faults, 1, 1);
  std::vector<std::string> all;
  for (int i = 0; i < 300; ++i) all.push_back("r" + std::to_string(i) + "@example.net");
  lane.post(1, all, false);
  lane.run(start + minutes(14));
  const HostMemory memory = lane.planner.memory();
  REQUIRE(memory.rcpts.value >= 15);
  CHECK(memory.rcpts.value <= 20);
  CHECK(memory.rcpts.since > start);
  CHECK(memory.last_commit > start);
  CHECK_FALSE(lane.planner.forgettable(start + hours(1)));  // drops that may still have to be told apart
  CHECK(lane.planner.forgettable(start + hours(7)));

  const auto offered = [&](TimePoint now) {
    Planner planner(usual_limits(), 1, memory, now);
    planner.add(batch(2, 100), now);
    const auto id = planner.connected("mx", now);
    return planner.next(id, now).transaction.recipients.size();
  };
  CHECK(offered(start + hours(2)) == memory.rcpts.value);
  CHECK(offered(start + hours(24 * 3)) > memory.rcpts.value);
  CHECK(offered(start + hours(24 * 31)) == 100);
}

TEST_CASE("a clock that was written while the time was wrong does not silence a host") {
  HostMemory memory;
  memory.until = start + hours(24 * 365);
  memory.error_at = start;
  const Planner planner(usual_limits(), 1, memory, start);
  CHECK_FALSE(planner.receptive(start));
  CHECK(planner.receptive(start + hours(2)));
}

TEST_CASE("what is not worth a write") {
  HostMemory written;
  written.last_commit = start;
  written.connections = 8;
  HostMemory now = written;
  now.last_commit = start + minutes(59);
  now.connections = 11;
  CHECK_FALSE(worth_writing(written, now));
  now.last_commit = start + minutes(60);
  CHECK(worth_writing(written, now));
  now = written;
  now.connections = 16;
  CHECK(worth_writing(written, now));
  now.connections = 1;
  CHECK(worth_writing(written, now));
  now = written;
  now.rcpts = {20, start};
  CHECK(worth_writing(written, now));
  now = written;
  now.until = start + minutes(1);
  CHECK(worth_writing(written, now));
}

TEST_CASE("RCPTMAX and RCPTDOMAINMAX bind the transactions of a connection") {
  Planner planner(usual_limits(), 1);
  planner.add(batch(1, 100, ""), start);
  const auto id = planner.connected("mx", start, {30, 4});
  std::uint32_t seen = 0, transactions = 0;
  for (; seen < 100; ++transactions) {
    const Next next = planner.next(id, start);
    REQUIRE(next.what == Next::Do::transaction);
    CHECK(next.transaction.recipients.size() <= 8);  // two recipients a domain
    seen += static_cast<std::uint32_t>(next.transaction.recipients.size());
    planner.report(id, all_accepted(next.transaction), start);
  }
  CHECK(transactions == 13);
  planner.add(batch(2, 100), start);
  CHECK(planner.next(id, start).transaction.recipients.size() == 30);
}

TEST_CASE("a rate is kept whatever the number of connections, without a burst after a pause") {
  Limits limits = usual_limits();
  limits.rate = 600;
  limits.rate_per = minutes(1);
  Planner planner(limits, 1);
  planner.add(batch(1, 1000, "example.net", true), start);
  std::vector<ConnectionId> open;
  for (int i = 0; i < 20; ++i) open.push_back(planner.connected("mx", start));
  std::uint64_t sent = 0, asked = 0;
  TimePoint now = start;
  for (; now < start + seconds(20); now += milliseconds(10)) {
    for (const ConnectionId id : open) {
      const Next next = planner.next(id, now);
      ++asked;
      if (next.what == Next::Do::wait) CHECK(next.until > now);
      if (next.what != Next::Do::transaction) continue;
      ++sent;
      planner.report(id, all_accepted(next.transaction), now);
    }
  }
  CHECK(sent >= 200);
  CHECK(sent <= 210);  // the first second's bucket
  for (Next next = planner.next(open[0], now); next.what == Next::Do::transaction;
       next = planner.next(open[0], now))
    planner.report(open[0], all_accepted(next.transaction), now);
  CHECK(planner.connections_wanted(20, now) == 0);
  CHECK(planner.wake_at() <= now + seconds(1));
  // After a pause: what one second brings, then evenly.
  now += hours(1);
  Planner later(limits, 1);
  later.add(batch(1, 100, "example.net", true), now);
  const auto id = later.connected("mx", now);
  std::uint32_t at_once = 0;
  for (Next next = later.next(id, now); next.what == Next::Do::transaction; next = later.next(id, now)) {
    ++at_once;
    later.report(id, all_accepted(next.transaction), now);
  }
  CHECK(at_once == 10);
  CHECK(later.next(id, now).until == now + milliseconds(100));
}

TEST_CASE("a rate of less than one a second") {
  Rate rate(6, minutes(1));
  CHECK(rate.take(start));
  CHECK_FALSE(rate.take(start + seconds(9)));
  CHECK(rate.at(start + seconds(9)) == start + seconds(10));
  CHECK(rate.take(start + seconds(10)));
  CHECK(rate.take(start + hours(1)));
  CHECK_FALSE(rate.take(start + hours(1)));
  Rate none;
  for (int i = 0; i < 1000; ++i) CHECK(none.take(start));
}
