// What operators change of a message: single recipients, the whole, its route; and what was on the wire meanwhile.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>

#include "store/spool/due.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

TEST_CASE("facts beat wishes") {
  Fresh s;
  const Id id = s.accept(plain({"a@x.example", "b@x.example", "c@x.example", "d@x.example"}))->ids[0];
  const Claim claim = s.claim()[0];
  const auto now_of = [&](std::uint32_t n) { return s.recipients(id).at(n); };

  auto edited = s.edit(id, {{Edit::What::remove, 0, "", {}}, {Edit::What::remove, 1, "", claim.due}});
  REQUIRE(edited);
  CHECK((*edited)[0].how == Edited::How::claimed);
  CHECK((*edited)[1].how == Edited::How::done);
  CHECK(now_of(1).state == RecipientState::removed);
  CHECK(s.problems() == "");
  edited = s.edit(id, {{Edit::What::hold, 2, "", claim.due}});
  CHECK((*edited)[0].how == Edited::How::done);
  CHECK(now_of(2).state == RecipientState::held);
  CHECK(s.problems() == "");

  // A late failure of an edited one: history only. A late success: delivered.
  Settlement late = outcome_of(claim, Verdict::failed);
  late.outcomes = {late.outcomes[1]};
  late.versions = {late.versions[1]};
  REQUIRE(s.settle(late));
  CHECK(now_of(1).state == RecipientState::removed);
  late.outcomes[0].verdict = Verdict::delivered;
  REQUIRE(s.settle(late));
  CHECK(now_of(1).state == RecipientState::delivered);
  CHECK(s.problems() == "");

  edited = s.edit(id, {{Edit::What::release, 2, "", {}}});
  CHECK((*edited)[0].how == Edited::How::done);
  CHECK(s.problems() == "");
  s.pass(Duration(1));
  const Claim again = s.claim().at(0);
  REQUIRE(again.recipients.size() == 1);
  CHECK(again.recipients[0].number == 2);
  CHECK(again.recipients[0].version == 2);
  // The old claim's late failure does not touch the new one's recipient.
  Settlement old = outcome_of(claim, Verdict::failed);
  old.outcomes = {old.outcomes[2]};
  old.versions = {0};
  REQUIRE(s.settle(old));
  CHECK(now_of(2).state == RecipientState::queued);
  CHECK(s.problems() == "");
  REQUIRE(s.settle(outcome_of(again, Verdict::delivered)));
  Settlement last = outcome_of(claim, Verdict::delivered);
  last.outcomes.erase(last.outcomes.begin() + 1, last.outcomes.begin() + 3);
  last.versions.erase(last.versions.begin() + 1, last.versions.begin() + 3);
  CHECK(s.settle(last)->finished);
  CHECK(s.problems() == "");
  CHECK(s.edit(id, {{Edit::What::remove, 0, "", {}}}).error().kind == Error::Kind::conflict);
}

TEST_CASE("add, replace, isolate, retry") {
  Fresh s;
  const Id id = s.accept(plain({"dirk@x.example", "anne@x.example"}))->ids[0];
  Claim claim = s.claim()[0];
  REQUIRE(s.settle(outcome_of(claim, Verdict::deferred, s.now() + std::chrono::hours(1))));
  CHECK(s.problems() == "");
  auto edited = s.edit(id, {{Edit::What::replace, 1, "Dirk@Y.example", {}},
                            {Edit::What::add, 0, "ANNE@x.example", {}},
                            {Edit::What::add, 0, "bert@x.example", {}},
                            {Edit::What::retry, 0, "", {}},
                            {Edit::What::remove, 9, "", {}}});
  REQUIRE(edited);
  CHECK((*edited)[0].how == Edited::How::done);
  CHECK((*edited)[0].number == 2);
  CHECK((*edited)[1].how == Edited::How::exists);
  CHECK((*edited)[1].number == 0);
  CHECK((*edited)[2].number == 3);
  CHECK((*edited)[4].how == Edited::How::not_found);
  CHECK(s.problems() == "");
  s.pass(Duration(2));
  std::vector<std::string> due;
  for (const Claim& c : s.claim())
    for (const Recipient& r : c.recipients) due.push_back(r.address);
  std::sort(due.begin(), due.end());
  CHECK(due == std::vector<std::string>{"Dirk@y.example", "anne@x.example", "bert@x.example"});
  CHECK(spool::find_recipients(Read(*s.store), id, "dirk@y.example").size() == 1);
  CHECK(spool::find_recipients(Read(*s.store), id, "dirk@x.example").at(0).state == RecipientState::removed);
  CHECK(s.problems() == "");
  CHECK(s.edit(id, {{Edit::What::add, 0, "nonsense", {}}}).error().kind == Error::Kind::invalid);
  CHECK(s.edit(id + 1, {}).error().kind == Error::Kind::not_found);
}

TEST_CASE("additions to a message with many rows do not look at all of them") {
  Fresh s;
  std::vector<std::string> addresses;
  for (int i = 0; i < 20'000; ++i) addresses.push_back("user" + std::to_string(i) + "@x.example");
  const Id id = s.accept(plain(addresses))->ids[0];
  for (;;) {
    const auto claims = s.claim();
    if (claims.empty()) break;
    for (const Claim& c : claims)
      REQUIRE(s.settle(outcome_of(c, Verdict::deferred, s.now() + std::chrono::hours(1))));
  }
  std::vector<Edit> edits;
  for (int i = 0; i < 500; ++i)
    edits.push_back(
        {.what = Edit::What::add, .number = 0, .address = "new" + std::to_string(i) + "@new.example"});
  edits.push_back({.what = Edit::What::add, .number = 0, .address = "User7@x.example"});
  edits.push_back({.what = Edit::What::add, .number = 0, .address = "new7@NEW.example"});
  const auto began = std::chrono::steady_clock::now();
  const auto edited = s.edit(id, edits);
  const auto took = std::chrono::steady_clock::now() - began;
  REQUIRE(edited);
  MESSAGE(std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms");
  CHECK(took < std::chrono::seconds(20));  // a walk over 20,000 rows for each takes far longer
  for (int i = 0; i < 500; ++i) REQUIRE(edited->at(static_cast<std::size_t>(i)).how == Edited::How::done);
  CHECK(edited->at(500).how == Edited::How::exists);
  CHECK(edited->at(501).how == Edited::How::exists);
  CHECK(s.problems() == "");
}

TEST_CASE("a withdrawal goes with the claim that it was said of") {
  Fresh s;
  const Id id = s.accept(plain({"a@x.example", "b@x.example"}))->ids[0];
  const Claim first = s.claim().at(0);
  REQUIRE(s.settle(outcome_of(first, Verdict::released, s.now())));  // its lane gave it back
  s.pass(Duration(5));
  const Claim second = s.claim().at(0);
  CHECK(second.recipients.size() == 2);
  Edit edit;
  edit.withdrawn = first.due;
  const auto refused = s.edit(id, {edit});
  REQUIRE(refused);
  CHECK(refused->at(0).how == Edited::How::claimed);
  CHECK(refused->at(0).claim == second.due);
  CHECK(s.recipients(id)[0].claim == second.due);
  edit.withdrawn = second.due;
  CHECK(s.edit(id, {edit})->at(0).how == Edited::How::done);
  CHECK(s.problems() == "");
}

TEST_CASE("many that are to be tried now are due now, in few entries") {
  Fresh s;
  const Id id = s.accept(plain(many(500)))->ids[0];
  std::vector<Edit> edits;
  for (const Claim& claim : s.claim()) {
    Settlement outcome = outcome_of(claim, Verdict::deferred);
    for (std::size_t i = 0; i < outcome.outcomes.size(); ++i) {
      outcome.outcomes[i].next_attempt = s.now() + std::chrono::hours(1) + Duration(i);
      edits.push_back({.what = Edit::What::retry, .number = outcome.outcomes[i].number, .address = {}});
    }
    REQUIRE(s.settle(outcome));
  }
  REQUIRE(edits.size() == 500);
  const std::size_t all = edits.size();
  edits.erase(edits.begin() + 250);  // a gap
  REQUIRE(s.edit(id, edits));
  CHECK(s.problems() == "");
  std::size_t entries = 0;
  const TimePoint soon = s.now() + Duration(1);
  Read(*s.store).each(Table::due, {}, [&](std::string_view key, std::string_view value) {
    const spool::DueRow due = spool::unpack_due(key, value);
    entries += due.at <= soon;
    return true;
  });
  CHECK(entries == 2);
  s.pass(Duration(2));
  std::size_t due = 0;
  for (const Claim& claim : s.claim()) due += claim.recipients.size();
  CHECK(due == all - 1);
  CHECK(s.problems() == "");
}

TEST_CASE("a whole message: hold, release, retry, remove, with a claim out") {
  for (const std::size_t n : {std::size_t{5}, std::size_t{700}, std::size_t{12'000}}) {
    CAPTURE(n);
    Folder folder;
    Opened s(folder.path());
    REQUIRE(s.open());
    const Id id = s.accept(plain(many(n)))->ids[0];
    const Claim claim = s.claim(3)[0];
    auto held = s.whole(id, Store::Whole::hold);
    REQUIRE(held);
    CHECK(held->size() == 3);
    CHECK(s.message(id)->state == MessageState::held);
    CHECK(s.message(id)->counts.held == n - 3);
    CHECK(s.recipients(id).at(4).state == RecipientState::held);
    CHECK(s.problems() == "");
    CHECK(s.claim().empty());
    Settlement part = outcome_of(claim, Verdict::deferred, s.now() + std::chrono::minutes(5));
    part.outcomes[0].verdict = Verdict::delivered;
    part.outcomes[2].verdict = Verdict::released;
    REQUIRE(s.settle(part));
    CHECK(s.message(id)->counts.held == n - 1);
    CHECK(s.problems() == "");
    CHECK(s.edit(id, {{Edit::What::release, 3, "", {}}})->at(0).how == Edited::How::held);
    CHECK(s.edit(id, {{Edit::What::remove, 3, "", {}}})->at(0).how == Edited::How::done);
    CHECK(s.whole(id, Store::Whole::retry).error().kind == Error::Kind::conflict);
    s.reopen();
    CHECK(s.message(id)->counts.held == n - 2);
    REQUIRE(s.whole(id, Store::Whole::release));
    while (s.message(id)->state == MessageState::held) std::this_thread::yield();
    CHECK(s.message(id)->counts.held == 0);
    CHECK(s.message(id)->counts.deferred == 1);
    CHECK(s.problems() == "");
    std::size_t claimed = 0;
    const std::vector<Claim> out = s.claim(100);
    for (const Claim& c : out) claimed += c.recipients.size();
    CHECK(claimed == std::min<std::size_t>(n - 2, 100));
    auto removed = s.whole(id, Store::Whole::remove);
    REQUIRE(removed);
    CHECK(removed->size() == claimed);
    CHECK(s.problems() == "");
    CHECK(s.whole(id, Store::Whole::hold).error().kind == Error::Kind::conflict);
    bool finished = false;
    for (const Claim& c : out) finished = s.settle(outcome_of(c, Verdict::deferred, s.now()))->finished;
    CHECK(finished);
    CHECK(s.message(id)->counts.removed == n - 1);
    CHECK(s.problems() == "");
  }
}

TEST_CASE("held by its content: what was claimed and what waits on that route") {
  Folder folder;
  Opened s(folder.path());
  s.options.route = [](std::string_view domain) { return domain == "d0.example" ? "other" : "relay"; };
  REQUIRE(s.open());
  const Id id = s.accept(plain(many(7000)))->ids[0];
  Settlement settlement = outcome_of(s.claim(100)[0], Verdict::deferred, s.now());
  settlement.hold = true;
  REQUIRE(s.settle(settlement));
  while (spool::earliest_due(Read(*s.store), "relay")) std::this_thread::yield();
  CHECK(s.message(id)->counts.held == 6000);
  CHECK(s.message(id)->counts.queued == 1000);
  CHECK(s.problems() == "");
  CHECK(s.claim(10, "other").size() == 1);
  REQUIRE(s.whole(id, Store::Whole::release));
  while (s.message(id)->state == MessageState::held) std::this_thread::yield();
  CHECK(s.message(id)->counts.held == 0);
  CHECK(s.problems() == "");
}

TEST_CASE("a next hop that is gone from the configuration: what was due there goes the way of now") {
  Folder folder;
  Opened s(folder.path());
  std::string d0 = "lmtp://gone:24", d1 = "lmtp://gone:24";
  s.options.route = [&](std::string_view domain) {
    return domain == "d0.example" ? d0 : domain == "d1.example" ? d1 : std::string("relay");
  };
  REQUIRE(s.open());
  const Id id = s.accept(plain(many(21'000)))->ids[0];
  const Claim claim = s.claim(10, "lmtp://gone:24").at(0);
  REQUIRE(s.settle(outcome_of(claim, Verdict::deferred, s.now() + std::chrono::minutes(5))));
  REQUIRE(s.edit(id, {{Edit::What::add, 0, "new@d0.example", {}}}));
  s.pass(Duration(5));
  d0 = "relay";
  REQUIRE(await<void>([&](auto cb) { s.store->reroute("lmtp://gone:24", cb); }));
  CHECK(s.problems() == "");
  s.pass(std::chrono::minutes(6));
  std::size_t there = 0, relay = 0;
  for (int i = 0; i < 60; ++i)
    for (const Claim& c : s.claim(1000, "lmtp://gone:24")) there += c.recipients.size();
  for (int i = 0; i < 60; ++i)
    for (const Claim& c : s.claim(1000)) relay += c.recipients.size();
  CHECK(there == 3000);
  CHECK(relay == 18'001);
  CHECK(s.recipients(id).at(0).attempts == 1);
  CHECK(s.problems() == "");
}
