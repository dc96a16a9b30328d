// The life of messages in the spool, one step at a time.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "store/broken.hpp"
#include "store/env.hpp"
#include "store/key.hpp"
#include "store/record.hpp"
#include "store/spool/due.hpp"
#include "store/spool/host.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

std::vector<std::string> many(std::size_t n) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < n; ++i)
    out.push_back("user" + std::to_string(i) + "@d" + std::to_string(i % 7) + ".example");
  return out;
}

}  // namespace

TEST_CASE("ids as text") {
  for (const Id id : {Id{0}, Id{1}, Id{7507804168388608001}, ~Id{0}}) {
    CHECK(id_text(id).size() == 13);
    CHECK(parse_id(id_text(id)) == id);
  }
  CHECK_FALSE(parse_id("ZZZZZZZZZZZZZ"));
  CHECK_FALSE(parse_id(""));
  CHECK_FALSE(parse_id("0000000000U00"));
  CHECK(parse_id("000000000000o") == Id{0});
}

TEST_CASE("a small message: accepted, claimed, delivered, finished, swept") {
  Fresh s;
  const std::string bytes = "Subject: x\r\n\r\n" + std::string(40'000, 'b') + "\r\n";
  const auto accepted = s.accept(plain({"b@two.example", "a@one.example", "a@ONE.example"}, bytes));
  REQUIRE(accepted);
  REQUIRE(accepted->ids.size() == 1);
  CHECK(accepted->recipients == std::vector<std::uint32_t>{2});
  CHECK(accepted->routes == std::vector<std::string>{"relay"});
  const Id id = accepted->ids[0];
  CHECK(s.problems() == "");
  CHECK(s.message(id)->size == bytes.size());
  CHECK(spool::outgoing(Read(*s.store), *s.message(id), 0, 1 << 20) == bytes);
  CHECK(spool::outgoing(Read(*s.store), *s.message(id), 16'360, 20) == bytes.substr(16'360, 20));
  CHECK(spool::messages(Read(*s.store), 0, 10).size() == 1);

  auto claims = s.claim();
  REQUIRE(claims.size() == 1);
  CHECK(claims[0].recipients.size() == 2);
  CHECK(claims[0].recipients[0].address == "a@ONE.example");
  CHECK(claims[0].recipients[1].address == "b@two.example");
  CHECK(s.recipients(id)[0].active);
  CHECK(s.claim().empty());
  CHECK(s.problems() == "");

  const auto settled = s.settle(outcome_of(claims[0], Verdict::delivered));
  REQUIRE(settled);
  CHECK(settled->finished);
  CHECK(s.problems() == "");
  CHECK(s.message(id)->state == MessageState::finished);
  CHECK(s.message(id)->counts.delivered == 2);
  CHECK(s.recipients(id)[1].state == RecipientState::delivered);
  CHECK(spool::content(Read(*s.store), s.message(id)->content, 0, 10).empty());
  CHECK(spool::messages(Read(*s.store), 0, 10).empty());
  CHECK(spool::messages(Read(*s.store), 0, 10, true).size() == 1);
  const auto history = spool::history(Read(*s.store), noon, noon, id, 10).events;
  REQUIRE(history.size() == 1);
  CHECK(history[0].event == "delivered");
  CHECK(history[0].recipients.size() == 2);
  CHECK(history[0].recipients[0].second.empty());
  CHECK(history[0].last.reply.text == "said to a@ONE.example");
  CHECK(history[0].recipients[1].second == "said to b@two.example");

  s.pass(std::chrono::hours(24 * 15));
  REQUIRE(await<void>([&](auto cb) { s.store->sweep(s.now(), cb); }));
  CHECK_FALSE(s.message(id));
  CHECK(spool::history(Read(*s.store), noon, s.now(), 0, 10).events.empty());
  CHECK(s.problems() == "");
}

TEST_CASE("head and splices make what goes out") {
  Fresh s;
  Acceptance a = plain({"a@b.example"}, "Old: 1\r\n\r\nbody one\r\nbody two\r\n");
  a.messages[0].head = "New: 1\r\n\r\n";
  a.messages[0].body = {{10, 10, "INSERTED\r\n"}, {20, 10, ""}};
  const auto accepted = s.accept(std::move(a));
  REQUIRE(accepted);
  const auto m = s.message(accepted->ids[0]);
  const std::string whole = "New: 1\r\n\r\nbody one\r\nINSERTED\r\nbody two\r\n";
  CHECK(m->size == whole.size());
  for (std::size_t from = 0; from <= whole.size() + 1; ++from)
    for (std::size_t n : {std::size_t{1}, std::size_t{7}, std::size_t{100}})
      CHECK(spool::outgoing(Read(*s.store), *m, from, n) ==
            (from < whole.size() ? whole.substr(from, n) : ""));
  CHECK(spool::head(Read(*s.store), m->id) == "New: 1\r\n\r\n");
}

TEST_CASE("a large message is claimed in batches, settled in parts, deferred ones stay together") {
  Fresh s;
  const auto accepted = s.accept(plain(many(1234)));
  REQUIRE(accepted);
  const Id id = accepted->ids[0];
  CHECK(s.problems() == "");
  std::vector<Claim> claims = s.claim(500);
  REQUIRE(claims.size() == 1);
  CHECK(claims[0].recipients.size() == 500);
  CHECK(s.problems() == "");

  // A part: 100 delivered, 50 deferred, 50 released.
  Settlement part = outcome_of(claims[0], Verdict::delivered);
  part.outcomes.resize(200);
  const TimePoint later = s.now() + std::chrono::minutes(5);
  for (std::size_t i = 100; i < 150; ++i)
    part.outcomes[i].verdict = Verdict::deferred, part.outcomes[i].next_attempt = later;
  for (std::size_t i = 150; i < 200; ++i)
    part.outcomes[i].verdict = Verdict::released, part.outcomes[i].next_attempt = s.now(),
    part.outcomes[i].charged = false;
  const auto settled = s.settle(part);
  REQUIRE(settled);
  CHECK_FALSE(settled->finished);
  CHECK(s.problems() == "");
  auto m = s.message(id);
  CHECK(m->counts.delivered == 100);
  CHECK(m->counts.deferred == 50);
  CHECK(m->counts.queued == 1084);
  CHECK(s.recipients(id)[120].attempts == 1);
  CHECK(s.recipients(id)[170].attempts == 0);

  // The same outcomes again change nothing.
  REQUIRE(s.settle(part));
  CHECK(s.message(id)->counts.delivered == 100);
  CHECK(s.problems() == "");

  Settlement rest = outcome_of(claims[0], Verdict::delivered);
  rest.outcomes.erase(rest.outcomes.begin(), rest.outcomes.begin() + 200);
  rest.versions.erase(rest.versions.begin(), rest.versions.begin() + 200);
  REQUIRE(s.settle(rest));
  CHECK(s.problems() == "");
  CHECK(spool::check(Read(*s.store)).claims == 0);
  CHECK(spool::check(Read(*s.store)).due <=
        3);  // released, deferred, never claimed: no row for each recipient

  s.pass(Duration(1));  // a time of its own: that of the claim they came from would still cover them
  std::size_t delivered = 400;
  for (int round = 0; round < 20 && delivered < 1184; ++round)
    for (const Claim& c : s.claim(300)) {
      delivered += c.recipients.size();
      REQUIRE(s.settle(outcome_of(c, Verdict::delivered)));
    }
  CHECK(delivered == 1184);
  CHECK(s.claim().empty());
  s.pass(std::chrono::minutes(6));
  claims = s.claim();
  REQUIRE(claims.size() == 1);
  CHECK(claims[0].recipients.size() == 50);
  CHECK(claims[0].recipients[0].attempts == 1);
  CHECK(s.settle(outcome_of(claims[0], Verdict::failed))->finished);
  CHECK(s.problems() == "");
  CHECK(s.message(id)->counts.failed == 50);
}

TEST_CASE("claims are fair between messages, and old ones do not starve") {
  Fresh s;
  const Id large = s.accept(plain(many(3000)))->ids[0];
  s.pass(Duration(1));
  const Id small = s.accept(plain({"a@b.example"}))->ids[0];
  std::vector<Id> order;
  while (order.size() < 3)
    for (const Claim& c : s.claim(100)) order.push_back(c.message);
  CHECK(order[0] == large);
  CHECK(order[1] == small);
  CHECK(order[2] == large);
  // A stream of new ones, as many as are claimed: the old one goes on all the same.
  std::size_t of_large = 0;
  for (int i = 0; i < 60; ++i) {
    s.pass(Duration(1));
    REQUIRE(s.accept(plain(many(10))));
    for (const Claim& c : s.claim(10)) of_large += c.message == large;
  }
  CHECK(of_large > 5);
  CHECK(s.problems() == "");
}

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
  CHECK(took < std::chrono::seconds(3));  // a walk over 20,000 rows for each takes ten times as long
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

TEST_CASE("after a crash what was claimed is due again, as possible duplicates") {
  Fresh s;
  const Id id = s.accept(plain(many(900)))->ids[0];
  auto claims = s.claim(900);
  Settlement part = outcome_of(claims.at(0), Verdict::delivered);
  part.outcomes.resize(10);
  REQUIRE(s.settle(part));
  std::size_t out = 0;
  for (const Claim& c : claims) out += c.recipients.size();
  s.reopen();
  CHECK(s.store->possible_duplicates() == out - 10);
  s.reopen();  // as spoolctl does before the daemon starts: the number is not lost
  CHECK(s.store->possible_duplicates() == out - 10);
  CHECK(s.problems() == "");
  CHECK(s.message(id)->counts.delivered == 10);
  CHECK(s.recipients(id)[10].possible_duplicate);
  std::size_t again = 0;
  for (int i = 0; i < 10; ++i)
    for (const Claim& c : s.claim(900)) again += c.recipients.size();
  CHECK(again == 890);
  s.reopen();
  CHECK(s.store->possible_duplicates() == 890);
}

TEST_CASE("a copy that was in doubt makes its recipient a possible duplicate, whatever becomes of it") {
  Fresh s;
  const Id id = s.accept(plain(many(5)))->ids[0];
  const Claim claim = s.claim(5).at(0);
  Settlement first = outcome_of(claim, Verdict::delivered);
  first.outcomes[1].verdict = Verdict::deferred;
  first.outcomes[2].verdict = Verdict::released;
  first.outcomes[3].verdict = Verdict::failed;
  for (std::size_t i = 0; i < 4; ++i) first.outcomes[i].possible_duplicate = true;
  for (std::size_t i : {1u, 2u}) first.outcomes[i].charged = false;
  REQUIRE(s.settle(first));
  CHECK(s.problems() == "");
  s.reopen();
  const auto rows = s.recipients(id);
  for (std::size_t i = 0; i < 5; ++i) CHECK(rows[i].possible_duplicate == (i < 4));
  CHECK(rows[0].state == RecipientState::delivered);
  CHECK((rows[1].attempts == 0 && rows[2].attempts == 0));
  CHECK(s.store->possible_duplicates() == 0);  // those are the start's own
  std::size_t again = 0;
  for (const Claim& c : s.claim(5))
    for (const Recipient& r : c.recipients) again += r.possible_duplicate ? 1u : 0u;
  CHECK(again == 2);
}

TEST_CASE("suspects and history without a message") {
  Fresh s;
  Settlement settlement;
  settlement.route = "relay";
  Suspect suspect;
  suspect.route = "relay";
  suspect.address = "Dirk@x.example";
  suspect.strikes = 2;
  suspect.stage = Stage::rcpt;
  suspect.how = "connection closed after RCPT TO";
  settlement.suspects.push_back(suspect);
  suspect.address = std::string(64, 'l') + "@" + std::string(250, 'd');
  suspect.route = std::string(300, 'r');
  settlement.suspects.push_back(suspect);
  REQUIRE(s.settle(settlement));
  CHECK(spool::suspect(Read(*s.store), "relay", "dirk@x.example")->strikes == 2);
  CHECK(spool::suspect(Read(*s.store), suspect.route, suspect.address)->address == suspect.address);
  CHECK(spool::suspects(Read(*s.store), "relay").size() == 1);
  settlement.suspects.clear();
  settlement.forgotten = {"DIRK@x.example"};
  REQUIRE(s.settle(settlement));
  CHECK(spool::suspects(Read(*s.store), "relay").empty());

  HistoryEvent event;
  event.event = "bounce";
  event.address = "dirk@x.example";
  event.list = 7;
  for (int i = 0; i < 3; ++i) REQUIRE(await<void>([&](auto cb) { s.store->record(event, cb); }));
  const auto events = spool::history(Read(*s.store), noon, noon, 0, 10).events;
  REQUIRE(events.size() == 3);
  CHECK(events[2].event == "bounce");
  CHECK(events[2].list == 7);
}

TEST_CASE(
    "what is remembered of a next hop: written with a settle, cleared by an operator, swept after 30 days") {
  Fresh s;
  delivery::HostMemory memory;
  memory.until = noon + std::chrono::minutes(4);
  memory.failures = 3;
  memory.half_open = memory.wide_window = memory.reject_limit = true;
  memory.last_error = "cannot connect: refused";
  memory.error_at = memory.last_drop = memory.last_commit = memory.overlap_off_until = noon;
  memory.connections = 7;
  memory.rcpts = {20, noon};
  memory.rcpts_of_connection = {50, noon - std::chrono::hours(1)};
  memory.messages = {10, noon};
  memory.age = {3000, noon};
  memory.rejects = {19, noon};
  Settlement settlement;
  for (const char* route : {"relay", "example.net", "smtp://127.0.0.1:25"}) {
    settlement.route = route;
    settlement.host = memory;
    REQUIRE(s.settle(settlement));
  }
  CHECK(s.problems() == "");
  const auto row = spool::host(Read(*s.store), "relay");
  REQUIRE(row);
  CHECK(row->memory == memory);
  CHECK(row->written == noon);
  CHECK_FALSE(spool::host(Read(*s.store), "rela"));
  const auto two = spool::hosts(Read(*s.store), "", 2);
  REQUIRE(two.size() == 2);
  CHECK(two[0].route == "example.net");
  CHECK(spool::hosts(Read(*s.store), two[1].route, 2).size() == 1);
  CHECK(spool::hosts(Read(*s.store), "", 2).back().route == "relay");

  bool waited = false, again = true;
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    waited = spool::clear_host(write, "relay");
    again = spool::clear_host(write, "relay");
    return {};
  }));
  CHECK(waited);
  CHECK_FALSE(again);
  CHECK(spool::host(Read(*s.store), "relay")->memory.until == TimePoint{});
  CHECK(spool::host(Read(*s.store), "relay")->memory.failures == 3);

  s.pass(std::chrono::hours(24 * 29));
  settlement.route = "example.net";
  REQUIRE(s.settle(settlement));
  s.pass(std::chrono::hours(24 * 2));
  REQUIRE(await<void>([&](auto cb) { s.store->sweep(s.now(), cb); }));
  const auto left = spool::hosts(Read(*s.store), "", 10);
  REQUIRE(left.size() == 1);
  CHECK(left[0].route == "example.net");
}

TEST_CASE("a content of any size comes back whole and in parts, its last octets from its row") {
  Fresh s;
  std::mt19937 random(7);
  for (const std::size_t size :
       {1u,     1'999u,  2'000u,  2'001u,  4'079u,  4'080u,  4'081u,  6'080u,  6'081u,  8'176u,
        8'177u, 16'367u, 16'368u, 16'369u, 18'368u, 18'369u, 20'448u, 20'449u, 32'736u, 100'000u}) {
    CAPTURE(size);
    std::string all(size, ' ');
    for (char& c : all) c = static_cast<char>(random());
    Acceptance a = plain({"a@b.example"});
    a.content.bytes = std::make_shared<const std::string>(all);
    const auto accepted = s.accept(a);
    REQUIRE(accepted);
    const Read read(*s.store);
    const Message message = *spool::message(read, accepted->ids[0]);
    CHECK(message.size == size);
    CHECK(spool::outgoing(read, message, 0, 1 << 20) == all);
    CHECK(spool::content(read, message.content, size, 10).empty());
    for (int i = 0; i < 100; ++i) {
      const std::size_t from = random() % size, limit = random() % (i % 2 ? 100 : 20'000);
      CHECK(spool::content(read, message.content, from, limit) == all.substr(from, limit));
    }
  }
  CHECK(s.problems() == "");
}

TEST_CASE(
    "a store of format 1, without octets in the rows of contents, is read, and then is of this format") {
  Fresh s;
  std::string all(4'110, 'x');
  all.replace(4'080, 30, 30, 'y');
  Acceptance a = plain({"a@b.example"});
  a.content.bytes = std::make_shared<const std::string>(all);
  const auto accepted = s.accept(a);
  REQUIRE(accepted);
  const Id content = s.message(accepted->ids[0])->content;
  const auto as_before = [&](Write& write) -> Result<void> {
    write.put(Table::content, Key().u64(content), Packer().num(all.size()).num(1).bytes());
    write.put(Table::content, Key().u64(content).u32(0), all);
    write.put(Table::meta, "format", Key().u32(1));
    return {};
  };
  REQUIRE(s.change(as_before));
  s.reopen();
  const Read read(*s.store);
  CHECK(spool::outgoing(read, *spool::message(read, accepted->ids[0]), 0, 1 << 20) == all);
  CHECK(read.get(Table::meta, "format") == std::string_view(Key().u32(format_version)));
  CHECK(s.problems() == "");
}

TEST_CASE("an upload in slices becomes a content, or vanishes") {
  Fresh s;
  std::string all;
  const Id upload = await<Id>([&](auto cb) { s.store->stage_begin(cb); }).value();
  for (std::size_t n : {1u, 16'367u, 16'368u, 40'000u, 5u, 0u}) {
    const std::string part(n, static_cast<char>('a' + n % 26));
    all += part;
    REQUIRE(await<void>([&](auto cb) { s.store->stage_append(upload, part, cb); }));
  }
  CHECK(s.problems() == "");
  Acceptance a = plain({"a@b.example"});
  a.content = {};
  a.content.staged = upload;
  const auto accepted = s.accept(a);
  REQUIRE(accepted);
  CHECK(s.message(accepted->ids[0])->size == all.size());
  CHECK(spool::outgoing(Read(*s.store), *s.message(accepted->ids[0]), 0, 1 << 20) == all);
  CHECK(s.problems() == "");
  CHECK(s.accept(a).error().kind == Error::Kind::not_found);

  const Id lost = await<Id>([&](auto cb) { s.store->stage_begin(cb); }).value();
  REQUIRE(await<void>([&](auto cb) { s.store->stage_append(lost, std::string(100'000, 'x'), cb); }));
  s.reopen();
  while (Read(*s.store).entries(Table::stage) > 0) std::this_thread::yield();
  CHECK(spool::content(Read(*s.store), lost, 0, 1).empty());
  const Id abandoned = await<Id>([&](auto cb) { s.store->stage_begin(cb); }).value();
  REQUIRE(await<void>([&](auto cb) { s.store->stage_append(abandoned, std::string(100'000, 'x'), cb); }));
  REQUIRE(await<void>([&](auto cb) { s.store->stage_abandon(abandoned, cb); }));
  while (Read(*s.store).entries(Table::stage) > 0) std::this_thread::yield();
  CHECK(spool::content(Read(*s.store), abandoned, 0, 1).empty());
  CHECK(s.problems() == "");
}

TEST_CASE("a content with a missing or cut chunk is damage, not its end") {
  Fresh s;
  std::string bytes = "Subject: x\r\n\r\n" + std::string(100'000, 'b') + "\r\n";
  const Message m = *s.message(s.accept(plain({"a@b.example"}, bytes))->ids[0]);
  const Key second = Key().u64(m.content).u32(1);
  const std::string was(*Read(*s.store).get(Table::content, second));
  const auto thrown = [&](std::uint64_t offset, std::size_t limit) {
    try {
      spool::outgoing(Read(*s.store), m, offset, limit);
    } catch (const Broken& broken) {
      CHECK(broken.error.kind == Error::Kind::corrupt);
      return broken.error.text;
    }
    return std::string();
  };
  for (const bool cut : {false, true}) {
    CAPTURE(cut);
    REQUIRE(s.change([&](Write& write) -> Result<void> {
      if (cut)
        write.put(Table::content, second, was.substr(0, 10));
      else
        write.del(Table::content, second);
      return {};
    }));
    CHECK(thrown(0, 16'000) == "");
    const std::string why = thrown(0, 1 << 20);
    CHECK(why.find("message " + id_text(m.id)) != std::string::npos);
    CHECK(why.find("chunk 1 of content " + id_text(m.content)) != std::string::npos);
    CHECK(why.find("spoolctl remove " + id_text(m.id)) != std::string::npos);
    CHECK(thrown(20'000, 100) != "");
    CHECK(thrown(40'000, 100) == "");
    CHECK_THROWS_AS(spool::content(Read(*s.store), m.content, 0, 1 << 20), Broken);
  }
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    write.put(Table::content, second, was);
    return {};
  }));
  CHECK(spool::outgoing(Read(*s.store), m, 0, 1 << 20) == bytes);
  CHECK(s.problems() == "");

  // The whole content is gone though the message is not finished.
  const std::string row(*Read(*s.store).get(Table::content, Key().u64(m.content)));
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    write.del(Table::content, Key().u64(m.content));
    write.del(Table::content, second);
    return {};
  }));
  CHECK(thrown(0, 1 << 20).find("promises 100016 octets") != std::string::npos);
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    write.put(Table::content, Key().u64(m.content), row);
    write.put(Table::content, second, was);
    return {};
  }));
  REQUIRE(s.settle(outcome_of(s.claim().at(0), Verdict::delivered))->finished);
  CHECK(spool::outgoing(Read(*s.store), m, 0, 1 << 20).empty());
}
