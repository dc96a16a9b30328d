// Outbox: what is in a group of settlements, and what becomes of a group that the store does not commit.
#include "server/delivery/outbox.hpp"

#include <doctest/doctest.h>

using namespace spoold;
using namespace spoold::server;
using namespace std::chrono_literals;

namespace {

const TimePoint noon(Duration(1'790'000'000'000));

struct Sending {
  Sending() {
    store::Message message;
    message.id = 7;
    claims.hold(message);
    store::Claim claim;
    claim.message = 7;
    claim.route = "relay";
    for (std::uint32_t i = 0; i < 3; ++i) claim.recipients.emplace_back().number = i;
    claims.add(std::move(claim));
  }
  void outcome(std::uint32_t number) {
    Outcome outcome;
    outcome.number = number;
    outcome.verdict = Verdict::delivered;
    claims.close(7, std::move(outcome));
  }
  std::vector<store::Settlement> next(TimePoint now = noon) {
    return outbox.next(claims, planner, false, now);
  }
  delivery::SuspectChange suspect(std::uint32_t strikes) {
    delivery::SuspectChange change{"Dirk@south.example", std::nullopt};
    if (strikes > 0) change.now.emplace().strikes = strikes;
    return change;
  }
  static store::Result<store::Settled> error(store::Error::Kind kind) {
    return tl::unexpected(store::Error{kind, "why"});
  }
  Claims claims{"relay"};
  delivery::Planner planner{delivery::Limits{}, 1};
  Outbox outbox{"relay", {}, {}};
};

}  // namespace

TEST_CASE("outcomes go out in groups, one at a time: what comes meanwhile is in the next one") {
  Sending it;
  CHECK(it.next().empty());
  it.outcome(0);
  const auto first = it.next();
  REQUIRE(first.size() == 1);
  CHECK(first[0].outcomes.size() == 1);
  CHECK(it.outbox.waits());
  it.outcome(1);
  CHECK(it.next().empty());
  CHECK(it.outbox.answered(0, store::Settled{}, noon).complete);
  CHECK_FALSE(it.outbox.waits());
  const auto second = it.next();
  REQUIRE(second.size() == 1);
  CHECK(second[0].outcomes[0].number == 1);
}

TEST_CASE("a suspect is written with the outcomes taken with it, or alone; the last change of one counts") {
  Sending it;
  it.outbox.suspect(it.suspect(1));
  it.outbox.suspect(it.suspect(2));
  CHECK(it.outbox.suspicion("dirk@SOUTH.example")->strikes == 2);
  it.outcome(0);
  auto group = it.next();
  REQUIRE(group.size() == 1);
  CHECK(group[0].message == 7);
  REQUIRE(group[0].suspects.size() == 1);
  CHECK(group[0].suspects[0].strikes == 2);
  CHECK(group[0].suspects[0].route == "relay");
  it.outbox.answered(0, store::Settled{}, noon);
  CHECK(it.outbox.empty());

  it.outbox.suspect(it.suspect(3));
  it.outbox.suspect(it.suspect(0));
  CHECK_FALSE(it.outbox.suspicion("dirk@south.example"));
  CHECK_FALSE(it.outbox.empty());
  group = it.next();
  REQUIRE(group.size() == 1);
  CHECK(group[0].message == 0);
  CHECK(group[0].route == "relay");
  CHECK(group[0].suspects.empty());
  CHECK(group[0].forgotten == std::vector<std::string>{"Dirk@south.example"});
}

TEST_CASE("the rows of the store are known from the start") {
  store::Suspect row;
  row.address = "Dirk@south.example";
  row.strikes = 2;
  row.parked = true;
  const Outbox outbox("relay", {}, {row});
  REQUIRE(outbox.suspicion("dirk@south.example"));
  CHECK(outbox.suspicion("dirk@south.example")->parked);
  CHECK(outbox.empty());
}

TEST_CASE("what is remembered of the host is written when it is worth it, once") {
  Sending it;
  it.outbox.look_at_memory();
  CHECK_FALSE(it.outbox.empty());
  CHECK(it.next().empty());  // nothing has happened
  CHECK(it.outbox.empty());
  LastReply why;
  why.reply.text = "connection refused";
  it.planner.connect_failed(Stage::connect, why, noon);
  it.outbox.look_at_memory();
  const auto group = it.next();
  REQUIRE(group.size() == 1);
  REQUIRE(group[0].host);
  CHECK(group[0].host->failures == 1);
  it.outbox.answered(0, store::Settled{}, noon);
  it.outbox.look_at_memory();
  CHECK(it.next().empty());
}

TEST_CASE("a full disk: the group is kept, sent again each second and before anything else") {
  Sending it;
  it.outcome(0);
  it.next();
  const auto answer = it.outbox.answered(0, Sending::error(store::Error::Kind::full), noon);
  CHECK(answer.complete);
  CHECK(answer.message == 7);
  CHECK_FALSE(answer.refused);
  CHECK(it.outbox.failed());
  CHECK(it.outbox.again_at() == noon + 1s);
  it.outcome(1);
  CHECK(it.next(noon + 999ms).empty());
  const auto again = it.next(noon + 1s);
  REQUIRE(again.size() == 1);
  CHECK(again[0].outcomes[0].number == 0);
  CHECK(it.next(noon + 9s).empty());  // it is with the store
  it.outbox.answered(0, store::Settled{}, noon + 1s);
  CHECK_FALSE(it.outbox.failed());
  CHECK(it.outbox.again_at() == TimePoint{});
  CHECK(it.next(noon + 1s)[0].outcomes[0].number == 1);
}

TEST_CASE("of a group that failed in part only that part is sent again") {
  Sending it;
  store::Claim other;
  other.message = 7;
  other.route = "relay";
  other.first = 10;
  other.recipients.emplace_back().number = 10;
  it.claims.add(std::move(other));
  it.outcome(0);
  it.outcome(10);
  const auto group = it.next();
  REQUIRE(group.size() == 2);
  CHECK_FALSE(it.outbox.answered(0, store::Settled{}, noon).complete);
  CHECK(it.outbox.answered(1, Sending::error(store::Error::Kind::io), noon).complete);
  const auto again = it.next(noon + 1s);
  REQUIRE(again.size() == 1);
  CHECK(again[0].claim_first == group[1].claim_first);
}

TEST_CASE("refused outcomes: once more without their report, then it is an error that ends the daemon") {
  Sending it;
  it.outcome(0);
  const auto group = it.next();
  CHECK(group[0].report_now);
  auto answer = it.outbox.answered(0, Sending::error(store::Error::Kind::corrupt), noon);
  CHECK_FALSE(answer.refused);
  const auto again = it.next(noon + 1s);
  REQUIRE(again.size() == 1);
  CHECK_FALSE(again[0].report_now);
  answer = it.outbox.answered(0, Sending::error(store::Error::Kind::corrupt), noon + 1s);
  CHECK(answer.refused);
}
