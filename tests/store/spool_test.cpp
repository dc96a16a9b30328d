// The life of messages in the spool, one step at a time.
#include <doctest/doctest.h>

#include <chrono>

#include "store/spool/host.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

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
