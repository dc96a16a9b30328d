#include "store/spool/check.hpp"

#include <doctest/doctest.h>

#include "store/broken.hpp"
#include "store/directory/check.hpp"
#include "store/key.hpp"
#include "store/spool/content.hpp"
#include "store/spool/due.hpp"
#include "store/spool/history.hpp"
#include "store/spool/repair.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

/// Runs a check in pieces, each in a Read of its own, with `between` after each.
spool::CheckReport in_pieces(
    const Opened& s, const std::function<void()>& between = [] {}) {
  spool::Check check;
  const auto step = [&] {
    const Read read(*s.store);
    return check.step(read);
  };
  while (step()) between();
  return check.report();
}

std::string repair(Opened& s, std::function<std::string(Write&)> f) {
  std::string what;
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    what = f(write);
    return {};
  }));
  return what;
}

}  // namespace

TEST_CASE("check of a message with a time for each recipient is not quadratic") {
  Fresh s;
  constexpr std::uint32_t count = 20'000;
  const Id id = s.accept(plain(many(count)))->ids[0];
  // Each recipient is deferred to a time of its own: as many entries as recipients.
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    auto message = *spool::find_message(write, id);
    message.generation = 1;
    message.counts = {};
    message.counts.deferred = count;
    spool::put_message(write, message);
    for (std::uint32_t n = 0; n < count; ++n) {
      spool::RecipientRow row;
      row.state = RecipientState::deferred;
      row.next = noon + Duration(n);
      spool::put_recipient(write, id, n, row);
      spool::put_due(write, {"relay", row.next, id, n, 1, 1});
      // Ranges of others that hold the number as well, and do not cover it.
      if (n % 4 == 0)
        spool::put_due(write, {"relay", noon + std::chrono::hours(1) + Duration(n), id, 0, count, 1});
    }
    return {};
  }));
  const auto begun = std::chrono::steady_clock::now();
  CHECK(s.problems() == "");
  const auto took = std::chrono::steady_clock::now() - begun;
  // 5,000 ranges over each of 20,000 numbers: a hundred million looks before.
  MESSAGE(std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms");
  CHECK(took < std::chrono::seconds(20));
}

TEST_CASE("a check in pieces beside a store that goes on finds nothing wrong") {
  Fresh s;
  for (int i = 0; i < 20; ++i) REQUIRE(s.accept(plain(many(3000))));
  int pieces = 0;
  const auto report = in_pieces(s, [&] {
    ++pieces;
    s.pass(Duration(1));
    const auto accepted = s.accept(plain(many(3)));  // its content is behind what was counted
    REQUIRE(accepted);
    for (const Claim& claim : s.claim(2000)) {
      if (pieces % 2) REQUIRE(s.settle(outcome_of(claim, Verdict::delivered)));
    }
    REQUIRE(s.whole(accepted->ids[0], Store::Whole::remove));
  });
  std::string problems;
  for (const auto& problem : report.problems) problems += problem + "\n";
  CHECK(problems == "");
  CHECK(report.messages >= 20);
  CHECK(pieces >= 5);
}

TEST_CASE("counts that do not add up are found, and repaired") {
  Fresh s;
  const Id id = s.accept(plain(many(40)))->ids[0];
  const auto claims = s.claim(10);
  REQUIRE(claims.size() == 1);
  const auto damage = [&](std::function<void(Write&)> f) {
    REQUIRE(s.change([&](Write& write) -> Result<void> {
      f(write);
      return {};
    }));
  };
  SUBCASE("of a message") {
    damage([&](Write& write) {
      auto message = *spool::find_message(write, id);
      message.counts.queued = 39;
      message.counts.failed = 7;
      spool::put_message(write, message);
    });
    CHECK(in_pieces(s).miscounted == std::vector<Id>{id});
    const auto what = repair(s, [&](Write& write) { return spool::repair_message(write, id); });
    CHECK(what == "message " + id_text(id) + ": its recipients are 40 queued, not 39 queued, 7 failed");
  }
  SUBCASE("of a claim") {
    damage([&](Write& write) {
      auto claim = spool::claims_from(write, id, 0, 40).at(0);
      claim.left = 3;
      spool::put_claim(write, claim);
    });
    CHECK(in_pieces(s).miscounted == std::vector<Id>{id});
    CHECK(repair(s, [&](Write& write) { return spool::repair_message(write, id); }) != "");
  }
  SUBCASE("of a content") {
    const Id content = s.message(id)->content;
    damage([&](Write& write) {
      auto row = *spool::find_content(write, content);
      const std::string tail(row.tail);
      spool::put_content(write, content, {row.size, 5, tail});
    });
    CHECK(in_pieces(s).miscounted_contents == std::vector<Id>{content});
    CHECK(repair(s, [&](Write& write) { return spool::repair_content(write, content); }) ==
          "content " + id_text(content) + ": used by 1 messages, not 5");
  }
  CHECK(s.problems() == "");
  REQUIRE(s.settle(outcome_of(claims[0], Verdict::delivered)));
  for (const Claim& claim : s.claim()) REQUIRE(s.settle(outcome_of(claim, Verdict::delivered)));
  CHECK(s.message(id)->state == MessageState::finished);
  CHECK(s.problems() == "");
}

TEST_CASE("a message whose recipients are all finished, but not itself, is finished by a repair") {
  Fresh s;
  const Id id = s.accept(plain(many(3)))->ids[0];
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    auto message = *spool::find_message(write, id);
    spool::Numbers numbers(write, message, 0, 3);
    for (std::uint32_t n = 0; n < 3; ++n) numbers.set_done(n);
    spool::put_message(write, message);
    return {};
  }));
  CHECK(in_pieces(s).miscounted == std::vector<Id>{id});
  CHECK(repair(s, [&](Write& write) { return spool::repair_message(write, id); }) != "");
  CHECK(s.message(id)->state == MessageState::finished);
  CHECK(s.problems() == "");
}

TEST_CASE("a record that cannot be read is named; the check goes on behind it") {
  Fresh s;
  const Id first = s.accept(plain(many(3)))->ids[0];
  s.pass(Duration(5));
  REQUIRE(s.accept(plain(many(3))));
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    write.put(Table::message, Key().u64(first), "\xff\xfe");
    return {};
  }));
  const auto report = in_pieces(s);
  REQUIRE_FALSE(report.problems.empty());
  CHECK(report.problems[0].find(id_text(first)) != std::string::npos);
  CHECK(report.messages == 1);
}

TEST_CASE("history looks at so many rows, those of other messages included, and names the place to go on") {
  Fresh s;
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    for (int i = 0; i < 1000; ++i) {
      HistoryEvent event;
      event.at = noon + Duration(i);
      event.message = i % 100 == 99 ? 7 : 8;
      event.event = "edited";
      spool::add_history(write, event);
    }
    return {};
  }));
  std::string after;
  std::size_t pages = 0, found = 0;
  do {
    const auto page = spool::history(Read(*s.store), noon, noon + Duration(899), 7, 60, after);
    CHECK(page.events.size() <= 1);
    found += page.events.size();
    after = page.after;
    ++pages;
  } while (!after.empty());
  CHECK(found == 9);
  CHECK(pages == 15);
}
