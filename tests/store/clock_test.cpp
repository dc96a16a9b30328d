// A clock that was wrong: what was written by it is put right when it is right again.
#include <doctest/doctest.h>

#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

constexpr auto year = std::chrono::hours(24 * 365);

std::uint64_t rows(Opened& s, Table table) {
  return Read(*s.store).entries(table);
}

void sweep(Opened& s) {
  REQUIRE(await<void>([&](auto cb) { s.store->sweep(s.now(), cb); }));
}

}  // namespace

TEST_CASE("what was accepted while the clock was a year ahead is due now, and arrived now") {
  Fresh s;
  s.pass(year);
  const Id id = s.accept(plain({"a@b.example", "c@d.example"}))->ids[0];
  for (const Claim& c : s.claim())
    REQUIRE(s.settle(outcome_of(c, Verdict::deferred, s.now() + Duration(1000))));
  s.pass(-year);
  SUBCASE("at the next start") {
    s.reopen();
  }
  SUBCASE("met by a claim") {
    CHECK(s.claim().empty());
    REQUIRE(
        s.change([](Write&) -> Result<void> { return {}; }));  // behind the slice that the claim asked for
  }
  SUBCASE("met by the sweep") {
    sweep(s);
    REQUIRE(s.change([](Write&) -> Result<void> { return {}; }));
  }
  const auto claims = s.claim();
  REQUIRE(claims.size() == 1);
  CHECK(claims[0].recipients.size() == 2);
  CHECK(s.message(id)->arrived == s.now());
  CHECK(s.problems() == "");
}

TEST_CASE("what is due within the longest wait stays due then") {
  Fresh s;
  REQUIRE(s.accept(plain({"a@b.example"})));
  const TimePoint later = s.now() + std::chrono::hours(23);
  for (const Claim& c : s.claim()) REQUIRE(s.settle(outcome_of(c, Verdict::deferred, later)));
  s.reopen();
  CHECK(s.claim().empty());
  CHECK(spool::earliest_due(Read(*s.store), "relay") == later);
}

TEST_CASE("messages that finished after the clock was ahead are swept when their time is over") {
  Fresh s;
  s.pass(year);
  REQUIRE(s.accept(plain({"ahead@b.example"})));
  for (const Claim& c : s.claim()) REQUIRE(s.settle(outcome_of(c, Verdict::delivered))->finished);
  s.pass(-year);
  for (int i = 0; i < 10; ++i) REQUIRE(s.accept(plain({"right@b.example"})));
  for (const Claim& c : s.claim()) REQUIRE(s.settle(outcome_of(c, Verdict::delivered))->finished);
  sweep(s);
  CHECK(rows(s, Table::finished) == 11);
  s.pass(std::chrono::hours(24 * 15));
  REQUIRE(s.accept(plain({"young@b.example"})));
  for (const Claim& c : s.claim()) REQUIRE(s.settle(outcome_of(c, Verdict::delivered))->finished);
  sweep(s);
  CHECK(rows(s, Table::finished) == 1);
}

TEST_CASE("ids far ahead of the clock are told of at the start") {
  Folder folder;
  Opened s(folder.path());
  std::vector<std::string> told;
  s.options.on_warning = [&](const std::string& text) { told.push_back(text); };
  REQUIRE(s.open());
  REQUIRE(s.accept(plain({"a@b.example"})));
  s.reopen();
  CHECK(told.empty());
  s.pass(year);
  REQUIRE(s.accept(plain({"a@b.example"})));
  s.pass(-year);
  s.reopen();
  REQUIRE(told.size() == 1);
  CHECK(told[0].find("hours ahead of the clock") != std::string::npos);
}
