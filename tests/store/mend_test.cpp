// Rows that cannot be read: after store::mend() everything else goes on, and the loss is named.
#include "store/mend.hpp"

#include <doctest/doctest.h>

#include "store/key.hpp"
#include "store/spool/check.hpp"
#include "store/spool/mend.hpp"
#include "store/spool/numbers.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

struct Damaged {
  Folder folder;
  Opened s{folder.path()};
  Id damaged = 0, other = 0;

  Damaged() {
    REQUIRE(s.open());
    damaged = s.accept(plain(many(40)))->ids[0];
    s.pass(Duration(5));
    other = s.accept(plain(many(3)))->ids[0];
  }
  void overwrite(Table table, std::string_view key) {
    const std::string row(key);
    REQUIRE(s.change([&](Write& write) -> Result<void> {
      write.put(table, row, "\xff\xfe");
      return {};
    }));
  }
  /// The first row of the table with this prefix.
  std::string key_in(Table table, std::string_view prefix = {}) {
    std::string found;
    Read(*s.store).each(table, prefix, [&](auto key, auto) {
      found = key;
      return false;
    });
    REQUIRE_FALSE(found.empty());
    return found;
  }
  std::vector<std::string> mend() {
    s.store.reset();
    auto said = store::mend(s.options);
    REQUIRE(said);
    REQUIRE(s.open());
    return *said;
  }
  std::vector<std::string> unreadable() {
    spool::Check check;
    while (check.step(Read(*s.store))) continue;
    return check.unreadable();
  }
  /// Claims and delivers until nothing is due.
  void deliver_all() {
    for (auto claims = s.claim(); !claims.empty(); claims = s.claim())
      for (const Claim& claim : claims) REQUIRE(s.settle(outcome_of(claim, Verdict::delivered)));
  }
  bool finished(Id id) { return s.message(id)->state == MessageState::finished; }
};

}  // namespace

TEST_CASE("a sound store has nothing to mend") {
  Damaged d;
  CHECK(d.unreadable().empty());
  CHECK(d.mend().empty());
  CHECK(d.s.problems() == "");
}

TEST_CASE("an entry of due that cannot be read: its recipients are due again") {
  Damaged d;
  const std::string key(Key().str("relay").time(noon).u64(d.damaged).u32(0).view());
  d.overwrite(Table::due, key);
  CHECK(d.unreadable().size() == 1);
  const auto said = d.mend();
  REQUIRE(said.size() == 1);
  CHECK(said[0].find("table due") != std::string::npos);
  CHECK(d.s.problems() == "");
  d.deliver_all();
  CHECK(d.finished(d.damaged));
  CHECK(d.finished(d.other));
  CHECK(d.s.problems() == "");
}

TEST_CASE(
    "a claim that cannot be read stops the start; mended, its recipients are due as possible duplicates") {
  Damaged d;
  REQUIRE(d.s.claim(10).size() == 1);
  d.overwrite(Table::claim, d.key_in(Table::claim));
  d.s.store.reset();
  const auto opened = d.s.open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().text.find("spoolctl check --repair") != std::string::npos);
  const auto said = store::mend(d.s.options);
  REQUIRE(said);
  REQUIRE(said->size() == 1);
  REQUIRE(d.s.open());
  CHECK(d.s.problems() == "");
  std::size_t doubtful = 0;
  for (const Recipient& r : d.s.recipients(d.damaged)) doubtful += r.possible_duplicate ? 1 : 0;
  CHECK(doubtful == 10);
  d.deliver_all();
  CHECK(d.finished(d.damaged));
  CHECK(d.s.problems() == "");
}

TEST_CASE("a recipient that cannot be read is held, the others of its message are delivered") {
  Damaged d;
  const auto claims = d.s.claim(5);
  REQUIRE(d.s.settle(outcome_of(claims.at(0), Verdict::deferred, noon + std::chrono::hours(1))));
  d.overwrite(Table::recipient, spool::recipient_key(d.damaged, 2));
  const auto said = d.mend();
  REQUIRE(said.size() == 1);
  CHECK(said[0].find(id_text(d.damaged)) != std::string::npos);
  CHECK(said[0].find("held") != std::string::npos);
  CHECK(d.s.problems() == "");
  d.s.pass(std::chrono::hours(2));
  d.deliver_all();
  CHECK(d.finished(d.other));
  CHECK(d.s.message(d.damaged)->counts.delivered == 39);
  const Recipient held = d.s.recipients(d.damaged).at(2);
  CHECK(held.state == RecipientState::held);
  CHECK(held.possible_duplicate);
  CHECK(held.address == "user21@d0.example");
  REQUIRE(d.s.edit(d.damaged, {{Edit::What::release, 2, "", {}}}));
  d.deliver_all();
  CHECK(d.finished(d.damaged));
  CHECK(d.s.problems() == "");
}

TEST_CASE("a message that cannot be read is given up by name; its rows and its content go, the others stay") {
  Damaged d;
  REQUIRE(d.s.claim(10).size() == 1);
  d.overwrite(Table::message, Key().u64(d.damaged).view());
  const auto said = d.mend();
  REQUIRE(said.size() == 1);
  CHECK(said[0].find(id_text(d.damaged)) != std::string::npos);
  CHECK(said[0].find("user0@d0.example") != std::string::npos);
  CHECK(said[0].find("and 30 others") != std::string::npos);
  d.deliver_all();
  CHECK(d.finished(d.other));
  CHECK(wait_until([&] { return Read(*d.s.store).entries(Table::stage) == 0; }));
  CHECK_FALSE(d.s.message(d.damaged));
  CHECK(Read(*d.s.store).entries(Table::recipients) == 0);
  CHECK(Read(*d.s.store).entries(Table::content) == 0);
  CHECK(d.s.problems() == "");
}

TEST_CASE("what is only told, or learned again, is deleted when it cannot be read") {
  Damaged d;
  Settlement settlement;
  settlement.route = "relay";
  Suspect& suspect = settlement.suspects.emplace_back();
  suspect.route = "relay";
  suspect.address = "m1@x.example";
  settlement.host.emplace();
  REQUIRE(d.s.settle(settlement));
  REQUIRE(d.s.whole(d.other, Store::Whole::hold));
  for (const Table table : {Table::history, Table::host, Table::suspect}) d.overwrite(table, d.key_in(table));
  CHECK(d.unreadable().size() == 3);
  CHECK(d.mend().size() == 3);
  CHECK(d.unreadable().empty());
  CHECK(d.s.problems() == "");
}

TEST_CASE("of a table that is not mended the text tells so") {
  Damaged d;
  d.overwrite(Table::content, Key().u64(d.s.message(d.damaged)->content).view());
  CHECK(d.mend().empty());
  CHECK(d.s.problems().find("does not mend this table") != std::string::npos);
}
