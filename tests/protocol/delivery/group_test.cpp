// Many lanes of one provider: what one of them meets counts for all (protocol/delivery/README.md, Groups), and nobody is charged
// for another's lane.
#include "protocol/delivery/group.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "protocol/delivery/planner.hpp"
#include "simulated_lane.hpp"

using namespace spoold;
using namespace spoold::delivery;
using namespace spoold::delivery::sim;
using std::chrono::hours, std::chrono::minutes, std::chrono::seconds, std::chrono::milliseconds;

namespace {

GroupRules rules(bool same_hosts = true) {
  GroupRules r;
  r.name = "mx:mx1.host.test";
  r.connections = 20;
  r.same_hosts = same_hosts;
  r.isolation_budget = 3;
  r.isolation_window = minutes(10);
  return r;
}

Group group_of(const GroupRules& r = rules()) {
  Group g;
  g.set(r);
  return g;
}

Group::Fault fault(TimePoint until, std::uint16_t code = 0, Stage stage = Stage::connect) {
  Group::Fault f;
  f.why.stage = stage;
  f.why.at = start;
  f.why.reply.code = code;
  f.why.reply.text = "no";
  f.until = until;
  f.failures = 1;
  return f;
}

/// So many connections as the group gives, each for a route of its own.
std::uint32_t fill(Group& g, TimePoint now, std::uint32_t most = 20) {
  std::uint32_t n = 0;
  while (n < 100 && g.take("r" + std::to_string(n) + ".test", most, false, false, now).granted) ++n;
  return n;
}

struct Shared : SharedGroup {
  explicit Shared(const GroupRules& r = rules()) {
    with([&r](Group& g) { g.set(r); });
  }
  void call(std::vector<std::string> routes) override {
    called.insert(called.end(), routes.begin(), routes.end());
  }
  std::vector<std::string> called;
};

Batch batch(MessageId message, std::uint32_t n, TimePoint arrived = start, const std::string& name = "r") {
  Batch b;
  b.message = message;
  b.one_each = true;
  for (std::uint32_t i = 0; i < n; ++i) {
    Candidate c;
    c.number = i;
    c.address = name + std::to_string(i) + "@" + std::to_string(message) + ".test";
    c.arrived = arrived;
    b.recipients.push_back(std::move(c));
  }
  return b;
}

/// The connection is lost at the first RCPT.
void hang_up(Planner& planner, ConnectionId id, TimePoint now) {
  const Next next = planner.next(id, now);
  REQUIRE(next.what == Next::Do::transaction);
  for (const std::uint32_t number : next.transaction.recipients)
    planner.sending(id, next.transaction.message, number, now);
  Observation seen = up_to_rcpt(next.transaction);
  seen.rcpts_sent = 1;
  Drop drop;
  drop.oldest = Stage::rcpt;
  planner.dropped(id, drop, {seen}, now);
}

LastReply refused_by_network() {
  LastReply why;
  why.stage = Stage::connect;
  why.reply.text = "cannot connect to mx1.host.test[192.0.2.1]:25: Connection refused";
  return why;
}

}  // namespace

TEST_CASE("group: its connections grow with those that are answered and with time, never past its limit") {
  Group g = group_of();
  CHECK(fill(g, start) == 5);
  g.answered(start);
  CHECK(fill(g, start) == 1);
  CHECK(fill(g, start + seconds(9)) == 0);
  CHECK(fill(g, start + seconds(10)) == 1);
  for (int i = 0; i < 50; ++i) g.answered(start + seconds(10));
  CHECK(fill(g, start + seconds(10)) == 13);
  CHECK(g.open() == 20);
  CHECK_FALSE(g.take("other.test", 20, false, false, start + hours(1)).granted);
  CHECK(g.take("other.test", 21, false, false, start + hours(1)).granted);  // a limit of its own
}

TEST_CASE("group: one too many is refused: fewer for a minute, then more again one by one") {
  Group g = group_of();
  for (int i = 0; i < 20; ++i) g.answered(start);
  REQUIRE(fill(g, start) == 20);
  g.refused(start);
  g.give(false);
  CHECK(fill(g, start) == 0);
  g.give(false);
  CHECK(fill(g, start) == 1);
  CHECK(g.open() == 19);
  CHECK(fill(g, start + seconds(69)) == 0);
  g.answered(start + seconds(59));  // not yet
  CHECK(fill(g, start + seconds(59)) == 0);
  CHECK(fill(g, start + seconds(70)) == 1);
}

TEST_CASE("group: who has none stands in line and is called when one is free; others do not take it first") {
  Group g = group_of();
  g.refused(start);  // one
  CHECK(g.take("a.test", 20, false, false, start).granted);
  CHECK_FALSE(g.crowded());
  CHECK_FALSE(g.yield());
  const auto b = g.take("b.test", 20, false, false, start);
  CHECK_FALSE(b.granted);
  CHECK(b.until > start);
  CHECK(!b.fault);
  CHECK_FALSE(g.take("b.test", 20, false, false, start).granted);  // has its place already
  CHECK_FALSE(g.take("c.test", 20, false, false, start).granted);
  CHECK_FALSE(g.take("a.test", 20, true, true, start).granted);  // has one: not in line
  CHECK(g.crowded());
  CHECK(g.yield());
  CHECK(g.yield());
  CHECK_FALSE(g.yield());  // as many as stand in line
  g.give(true);
  CHECK(g.take_calls() == std::vector<std::string>{"b.test"});
  CHECK_FALSE(g.take("a.test", 20, false, true, start).granted);  // gave way: behind c
  CHECK(g.take_calls() == std::vector<std::string>{"c.test"});    // b did not come yet
  CHECK(g.take("b.test", 20, false, false, start).granted);
  g.give(false);
  CHECK(g.take_calls() == std::vector<std::string>{"a.test"});
  CHECK_FALSE(g.crowded());
}

TEST_CASE("group: after a fault all wait, then one probes, and its answer frees all") {
  Group g = group_of();
  REQUIRE(g.take("a.test", 20, false, false, start).granted);
  CHECK(g.fault(fault(start + minutes(1)), 0, start));
  g.give(false);
  const auto told = g.take("b.test", 20, false, false, start + seconds(59));
  CHECK_FALSE(told.granted);
  REQUIRE(told.fault);
  CHECK(told.until == start + minutes(1));
  CHECK(told.fault->why.reply.text == "no");
  CHECK(g.take("b.test", 20, false, false, start + minutes(1)).granted);
  const auto waits = g.take("c.test", 20, false, false, start + minutes(1));
  CHECK_FALSE(waits.granted);
  CHECK(!waits.fault);  // it waits for the probe
  CHECK_FALSE(g.take("c.test", 20, false, false, start + hours(1)).granted);
  CHECK(g.take_calls().empty());
  g.answered(start + hours(1));
  CHECK(g.take_calls() == std::vector<std::string>{"c.test"});
  CHECK(fill(g, start + hours(1)) > 3);
}

TEST_CASE("group: a probe that ends without a word leaves the next one to somebody else") {
  Group g = group_of();
  REQUIRE(g.fault(fault(start + minutes(1)), 0, start));
  REQUIRE(g.take("a.test", 20, false, false, start + minutes(1)).granted);
  REQUIRE_FALSE(g.take("b.test", 20, false, false, start + minutes(1)).granted);
  g.give(false);
  CHECK(g.take_calls() == std::vector<std::string>{"b.test"});
  CHECK(g.take("b.test", 20, false, false, start + minutes(1)).granted);
}

TEST_CASE("group: what is no fault of the group: others are served, another host, another policy") {
  Group g = group_of();
  REQUIRE(fill(g, start) == 5);
  g.connected();
  CHECK_FALSE(g.fault(fault(start + minutes(1)), 0, start));
  CHECK(g.take("b.test", 20, false, false, start).fault == std::nullopt);
  CHECK(g.fault(fault(start + minutes(1)), 1, start));  // its own
  for (const Stage stage : {Stage::dns, Stage::starttls, Stage::auth}) {
    Group other = group_of();
    CHECK_FALSE(other.fault(fault(start + minutes(1), 0, stage), 0, start));
    CHECK(fill(other, start) == 5);
  }
  // A provider's customers have hosts of their own: silence is theirs, words are the provider's.
  Group provider = group_of(rules(false));
  CHECK_FALSE(provider.fault(fault(start + minutes(1)), 0, start));
  CHECK(fill(provider, start) == 5);
  for (int i = 0; i < 3; ++i)
    CHECK_FALSE(provider.fault(fault(start + minutes(1), 421, Stage::greeting), 0, start));
  CHECK(provider.fault(fault(start + minutes(1), 421, Stage::greeting), 0, start));  // not one too many
}

TEST_CASE("group: 'too many' just when the others have left is one too many, not a fault; but not for ever") {
  Group g = group_of();
  REQUIRE(g.take("a.test", 20, false, false, start).granted);
  g.connected();
  g.answered(start);
  g.parted();
  g.give(false);
  const Group::Fault too_many = fault(start + minutes(1), 421, Stage::greeting);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(g.fault(too_many, 0, start + seconds(1)));
  CHECK(fill(g, start + seconds(1)) == 1);
  CHECK(g.fault(too_many, 0, start + seconds(1)));
  Group later = group_of();
  later.answered(start);
  CHECK(later.fault(too_many, 0, start + seconds(10)));
  Group silent = group_of();
  silent.answered(start);
  CHECK(silent.fault(fault(start + minutes(1)), 0, start));
}

TEST_CASE(
    "group: of five that open at once two are served: the refusals, heard before the others said EHLO, are "
    "no fault") {
  Group g = group_of();
  REQUIRE(fill(g, start) == 5);
  const Group::Fault too_many = fault(start + minutes(1), 421, Stage::greeting);
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(g.fault(too_many, 0, start));
    g.give(false);
  }
  CHECK(fill(g, start) == 0);  // two are open, and two it may have
  g.connected();
  g.connected();
  g.give(false);
  CHECK(fill(g, start) == 1);

  Group down = group_of();
  REQUIRE(fill(down, start) == 5);
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(down.fault(too_many, 0, start));
    down.give(false);
  }
  CHECK(down.fault(too_many, 0, start));  // all five are refused: nobody was on his way
}

TEST_CASE("group: an operator's wish ends its wait, but one probes first all the same") {
  Group g = group_of();
  REQUIRE(g.fault(fault(start + hours(1)), 0, start));
  REQUIRE_FALSE(g.take("a.test", 20, false, false, start).granted);
  g.clear(start - seconds(1));  // said before that fault
  CHECK(fill(g, start) == 0);
  g.clear(start);
  CHECK(fill(g, start) == 1);
}

TEST_CASE("group: forgotten when nothing of it is worth knowing") {
  Group g = group_of();
  REQUIRE(g.take("a.test", 20, false, false, start).granted);
  CHECK_FALSE(g.forgettable(start + hours(1)));
  g.give(false);
  CHECK_FALSE(g.forgettable(start + minutes(9)));
  CHECK(g.forgettable(start + minutes(10)));
  g.fault(fault(start + hours(1)), 0, start);
  CHECK_FALSE(g.forgettable(start + minutes(69)));
  CHECK(g.forgettable(start + minutes(70)));
}

TEST_CASE(
    "lanes of a group: one meets a dead host, the others wait without a try, uncharged; expiry counts") {
  const auto shared = std::make_shared<Shared>();
  Planner one(usual_limits(), 1), two(usual_limits(), 2);
  one.join(shared);
  two.join(shared);
  one.add(batch(1, 3), start);
  one.connect_failed(Stage::connect, refused_by_network(), start);
  const auto answer = shared->with([](Group& g) { return g.take("two.test", 20, false, false, start); });
  REQUIRE(answer.fault);
  CHECK(answer.fault->until == one.health(start).until);

  two.add(batch(2, 3), start);
  two.add(batch(3, 2, start - hours(24 * 6)), start);  // older than their lifetime
  two.told(*answer.fault, start);
  std::map<MessageId, Verdict> became;
  for (const auto& [message, outcome] : two.take_outcomes()) {
    became[message] = outcome.verdict;
    CHECK_FALSE(outcome.charged);
    CHECK(outcome.last.reply.text == refused_by_network().reply.text);
    if (outcome.verdict == Verdict::released) CHECK(outcome.next_attempt == answer.fault->until);
  }
  CHECK(became == std::map<MessageId, Verdict>{{2, Verdict::released}, {3, Verdict::expired}});
  CHECK(two.in_hand() == 0);
  CHECK(two.health(start).state == "waiting");
  CHECK(two.health(start).until == answer.fault->until);
  two.add(batch(4, 1, start - hours(24 * 6)), start + seconds(1));  // claimed since: the same attempt counts
  REQUIRE(two.take_outcomes().size() == 1);

  // It probes when the time has come; failing again it waits twice as long: it goes on where the other was.
  const TimePoint then = answer.fault->until;
  two.add(batch(5, 1), then);
  CHECK(two.connections_wanted(0, then) == 1);
  two.connect_failed(Stage::connect, refused_by_network(), then);
  CHECK(two.health(then).until - then >= minutes(1) + seconds(30));
  const auto again = shared->with([&](Group& g) { return g.take("one.test", 20, false, false, then); });
  REQUIRE(again.fault);
  CHECK(again.fault->failures == 2);

  // Freed before: it asks again at once.
  one.told(*again.fault, then);
  one.freed();
  one.add(batch(6, 1), then);
  CHECK(one.receptive(then));
  CHECK(one.connections_wanted(0, then) == 1);
}

TEST_CASE(
    "lanes of a group: hosts that greet the probe with 521 are up, and nobody waits for them (RFC 7504)") {
  const auto shared = std::make_shared<Shared>();
  const auto take = [&shared](const std::string& route, TimePoint at) {
    return shared->with([&](Group& g) { return g.take(route, 20, false, false, at); });
  };
  Planner probe(usual_limits(), 1);
  probe.join(shared);
  probe.add(batch(1, 3), start);
  probe.connect_failed(Stage::connect, refused_by_network(), start);
  REQUIRE(probe.take_outcomes().size() == 3);
  const TimePoint then = probe.health(start).until;
  REQUIRE(take("probe.test", then).granted);
  REQUIRE_FALSE(take("two.test", then).granted);
  REQUIRE_FALSE(take("three.test", then).granted);
  REQUIRE(shared->called.empty());

  probe.add(batch(2, 3), then);
  LastReply no_mail;
  no_mail.stage = Stage::greeting;
  no_mail.reply = {521, {}, "mx1.host.test accepts no mail"};
  probe.no_host_takes_mail(no_mail, then);
  CHECK(shared->called == std::vector<std::string>{"two.test", "three.test"});
  CHECK(take("two.test", then).granted);
  CHECK(take("three.test", then).granted);
  const auto outcomes = probe.take_outcomes();
  REQUIRE(outcomes.size() == 3);
  for (const auto& [message, outcome] : outcomes) {
    CHECK(outcome.verdict == Verdict::failed);
    CHECK(outcome.last.reply.enhanced.text() == "5.3.2");
    CHECK(outcome.last.stage == Stage::greeting);
  }
  CHECK(probe.health(then).state == "up");
}

TEST_CASE(
    "lanes of a group: a fault is not the group's while another lane is connected; the last one frees all") {
  const auto shared = std::make_shared<Shared>();
  {
    Planner one(usual_limits(), 1), two(usual_limits(), 2);
    one.join(shared);
    two.join(shared);
    one.add(batch(1, 3), start);
    const auto id = one.connected("mx", start);
    for (int i = 0; i < 3; ++i) one.report(id, all_accepted(one.next(id, start).transaction), start);
    two.add(batch(2, 1), start);
    two.connect_failed(Stage::connect, refused_by_network(), start);  // two's own trouble
    CHECK_FALSE(shared->with([](Group& g) { return g.take("three.test", 20, false, false, start); }).fault);
    CHECK(two.health(start).state == "waiting");
    one.closed(id, start);
    two.connect_failed(Stage::connect, refused_by_network(), start + minutes(5));
    CHECK(shared->with([](Group& g) { return g.take("three.test", 20, false, false, start); }).fault);
  }
  Planner third(usual_limits(), 3);
  third.join(shared);
  third.add(batch(1, 1), start + hours(2));
  const auto id = third.connected("mx", start + hours(2));
  third.report(id, all_accepted(third.next(id, start + hours(2)).transaction), start + hours(2));
  CHECK_FALSE(shared->with([](Group& g) { return g.take("x", 20, false, false, start + hours(2)); }).fault);
}

TEST_CASE("lanes of a group have one rate") {
  GroupRules slow = rules();
  slow.rate = 600;
  slow.rate_per = minutes(1);
  const auto shared = std::make_shared<Shared>(slow);
  std::vector<std::unique_ptr<Planner>> lanes;
  std::vector<ConnectionId> open;
  for (std::uint64_t i = 0; i < 50; ++i) {
    lanes.push_back(std::make_unique<Planner>(usual_limits(), i));
    lanes.back()->join(shared);
    lanes.back()->add(batch(i + 1, 100), start);
    open.push_back(lanes.back()->connected("mx", start));
  }
  std::uint32_t sent = 0;
  for (TimePoint now = start; now < start + seconds(20); now += milliseconds(20)) {
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      const Next next = lanes[i]->next(open[i], now);
      if (next.what == Next::Do::wait) CHECK(next.until > now);
      if (next.what != Next::Do::transaction) continue;
      ++sent;
      lanes[i]->report(open[i], all_accepted(next.transaction), now);
    }
  }
  CHECK(sent >= 199);
  CHECK(sent <= 210);
  // A lane with nothing to send uses up no turn.
  Planner idle(usual_limits(), 99);
  idle.join(shared);
  const auto id = idle.connected("mx", start + seconds(30));
  for (int i = 0; i < 1000; ++i) idle.next(id, start + seconds(30));
  CHECK(shared->with([](Group& g) { return g.turn_at(start + seconds(30)); }) == start + seconds(30));
}

TEST_CASE("lanes of a group have one isolation budget: 30 culprits in 30 lanes are not offered 30 times") {
  const auto shared = std::make_shared<Shared>();
  std::vector<std::unique_ptr<Planner>> lanes;
  TimePoint now = start;
  std::uint32_t offered = 0;
  for (std::uint64_t i = 0; i < 30; ++i) {
    lanes.push_back(std::make_unique<Planner>(usual_limits(), i));
    Planner& lane = *lanes.back();
    lane.join(shared);
    Batch suspects = batch(i + 1, 1, now);
    Suspicion known;
    known.first = known.last_drop = now - hours(1);
    known.parked = true;
    suspects.recipients[0].suspicion = known;
    lane.add(suspects, now);
    if (lane.connections_wanted(0, now) == 0) {
      CHECK(lane.wake_at() <= start + minutes(10));
      continue;
    }
    ++offered;
    hang_up(lane, lane.connected("mx", now), now);
    now += seconds(1);
  }
  CHECK(offered == 3);
  // Untainted mail of the others does not wait.
  Planner& last = *lanes.back();
  last.add(batch(100, 1), now);
  CHECK(last.connections_wanted(0, now) == 1);
  // When the window has passed, the next ones have their try.
  now = start + minutes(11);
  for (auto& lane : lanes) lane->tick(now);
  CHECK(last.connections_wanted(0, now) == 1);
}
