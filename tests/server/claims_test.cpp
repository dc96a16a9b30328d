// Claims: what a lane holds, and which outcomes go into which settlement.
#include "server/delivery/claims.hpp"

#include <doctest/doctest.h>

using namespace spoold;
using namespace spoold::server;

namespace {

store::Claim claim_of(std::uint32_t first, std::uint32_t count) {
  store::Claim claim;
  claim.message = 7;
  claim.route = "relay";
  claim.first = first;
  for (std::uint32_t i = 0; i < count; ++i) {
    store::Recipient& recipient = claim.recipients.emplace_back();
    recipient.number = first + i;
    recipient.version = 10 + i;
  }
  return claim;
}

Outcome released(std::uint32_t number) {
  Outcome outcome;
  outcome.number = number;
  outcome.verdict = Verdict::released;
  return outcome;
}

struct Holding {
  Holding() {
    store::Message message;
    message.id = 7;
    claims.hold(message);
    claims.add(claim_of(0, 3));
  }
  Claims claims{"relay"};
};

}  // namespace

TEST_CASE("what an edit has withdrawn is not given back with the rest of the hand") {
  Holding it;
  it.claims.find(7)->withdrawn.insert(1);
  using Open = std::vector<std::pair<store::Id, std::uint32_t>>;
  CHECK(it.claims.all_open(false) == Open{{7, 0}, {7, 2}});
  CHECK(it.claims.all_open(true) == Open{{7, 0}, {7, 1}, {7, 2}});
}

TEST_CASE("the planner's hold concerns the claims in hand, not those made after an operator's release") {
  Holding it;
  it.claims.hold_claims(7);
  it.claims.add(claim_of(10, 1));
  it.claims.add(claim_of(20, 1), true);  // asked for before the hold
  for (const std::uint32_t number : {0u, 10u, 20u}) it.claims.close(7, released(number));
  const auto settlements = it.claims.take();
  REQUIRE(settlements.size() == 3);
  for (const store::Settlement& settlement : settlements)
    CHECK(settlement.hold == (settlement.claim_first != 10));
}

TEST_CASE("a claim that never came into the hand is settled as released, with its versions") {
  Claims claims{"relay"};
  CHECK_FALSE(claims.unsettled());
  claims.give_up(claim_of(4, 2), TimePoint(Duration(99)));
  claims.give_up(claim_of(8, 0), TimePoint(Duration(99)));  // moved from: it is in hand
  REQUIRE(claims.unsettled());
  const auto settlements = claims.take();
  REQUIRE(settlements.size() == 1);
  CHECK(settlements[0].message == 7);
  CHECK(settlements[0].claim_first == 4);
  CHECK(settlements[0].versions == std::vector<std::uint32_t>{10, 11});
  REQUIRE(settlements[0].outcomes.size() == 2);
  for (const Outcome& outcome : settlements[0].outcomes) {
    CHECK(outcome.verdict == Verdict::released);
    CHECK_FALSE(outcome.charged);
    CHECK(outcome.next_attempt == TimePoint(Duration(99)));
  }
  CHECK_FALSE(claims.unsettled());
}
