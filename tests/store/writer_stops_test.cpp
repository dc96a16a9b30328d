// The writer beside a full or a broken disk, and at its end.
#include <doctest/doctest.h>
#include <lmdb.h>

#include <cerrno>

#include "store/broken.hpp"
#include "store/key.hpp"
#include "store/writer.hpp"
#include "tests/store/gate.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

TEST_CASE("no space at a commit: intake is answered full, what was heard is kept as soon as it fits") {
  Folder folder;
  Opened s(folder.path());
  auto fails = std::make_shared<std::atomic<int>>(0);
  s.options.fault = [fails](const char* point) {
    if (std::string_view(point) != "commit" || *fails <= 0) return 0;
    --*fails;
    return ENOSPC;
  };
  REQUIRE(s.open());
  Gate gate;
  gate.close(*s.store);
  std::promise<Result<void>> intake, settle;
  const auto put = [](std::size_t i) {
    return
        [i](Write& write) -> Result<void> { return write.put(Table::history, nth(i), "x"), Result<void>{}; };
  };
  *fails = 1;
  s.store->submit({Job::Kind::intake, put(1), [&](Result<void> r) { intake.set_value(std::move(r)); }});
  s.store->submit({Job::Kind::patient, put(2), [&](Result<void> r) { settle.set_value(std::move(r)); }});
  gate.open();
  const auto refused = intake.get_future().get();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == Error::Kind::full);
  CHECK(settle.get_future().get());
  CHECK_FALSE(Read(*s.store).has(Table::history, nth(1)));
  CHECK(Read(*s.store).has(Table::history, nth(2)));
  CHECK_FALSE(s.store->has_room());  // until the next look
  CHECK(s.store->trouble() == "");

  // Nothing fits: the settle is given back to its caller, trouble says so, and goes with the next commit.
  *fails = 2;
  const auto full = s.change(put(3), Job::Kind::patient);
  REQUIRE_FALSE(full);
  CHECK(full.error().kind == Error::Kind::full);
  CHECK(s.store->trouble() != "");
  REQUIRE(s.change(put(3), Job::Kind::patient));
  CHECK(s.store->trouble() == "");
  CHECK(Read(*s.store).has(Table::history, nth(3)));
}

TEST_CASE("a commit that failed on the disk is not tried again: the store stops") {
  Folder folder;
  Opened s(folder.path());
  auto commits = std::make_shared<std::atomic<int>>(0);
  std::promise<std::string> stopped;
  s.options.fault = [commits](const char* point) {
    return std::string_view(point) == "commit" ? (++*commits, EIO) : 0;
  };
  s.options.on_stop = [&](std::string why) { stopped.set_value(std::move(why)); };
  REQUIRE(s.open());
  // The starting sweep has nothing to write, so this is the first commit.
  const auto put = [](Write& write) -> Result<void> {
    return write.put(Table::history, nth(1), "x"), Result<void>{};
  };
  const auto answer = s.change(put);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == Error::Kind::io);
  CHECK(stopped.get_future().get().find("unknown") != std::string::npos);
  CHECK(s.store->trouble() != "");
  CHECK(s.change(put).error().kind == Error::Kind::io);
  CHECK(*commits == 1);
  s.options.fault = {};
  s.options.on_stop = {};
  s.reopen();
  CHECK_FALSE(Read(*s.store).has(Table::history, nth(1)));
  REQUIRE(s.change(put));
}

TEST_CASE("LMDB that begins nothing after a commit that failed: an unknown outcome, no damage") {
  Folder folder;
  Opened s(folder.path());
  std::atomic<bool> failed{false};
  std::promise<std::string> stopped;
  s.options.fault = [&](const char* point) {
    if (std::string_view(point) == "commit") return failed.exchange(true) ? 0 : ENOSPC;
    return std::string_view(point) == "begin" && failed ? MDB_PANIC : 0;
  };
  s.options.on_stop = [&](std::string why) { stopped.set_value(std::move(why)); };
  REQUIRE(s.open());
  const auto answer = s.change(
      [](Write& write) -> Result<void> { return write.put(Table::history, nth(1), "x"), Result<void>{}; });
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == Error::Kind::io);
  const std::string why = stopped.get_future().get();
  CHECK(why.find("is unknown") != std::string::npos);
  CHECK(why.find("damaged") == std::string::npos);
  CHECK(why.find("backup") == std::string::npos);
}

TEST_CASE("a record that cannot be read stops the writer") {
  Fresh s;
  const auto accepted = s.accept(plain({"a@b.example"}));
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    return write.put(Table::message, Key().u64(accepted->ids[0]), "\xff\xff\xff"), Result<void>{};
  }));
  CHECK(s.problems() != "");
  const auto claimed = await<std::vector<Claim>>([&](auto cb) { s.store->claim("relay", s.now(), 10, cb); });
  REQUIRE_FALSE(claimed);
  CHECK(claimed.error().kind == Error::Kind::corrupt);
  CHECK(s.store->trouble().find("damaged") != std::string::npos);
  CHECK(s.store->trouble().find(id_text(accepted->ids[0]) + " of table message") != std::string::npos);
  CHECK(s.store->trouble().find("spoolctl check --repair") != std::string::npos);
}

TEST_CASE("intake closes at max_size and below the reserve, settling goes on") {
  Folder folder;
  Opened s(folder.path());
  SUBCASE("reserve") {
    s.options.reserve = ~std::uint64_t{0};
    REQUIRE(s.open());
  }
  SUBCASE("max_size") {
    s.options.max_size = 1u << 20;
    REQUIRE(s.open());
    for (int i = 0; i < 100; ++i) (void)s.accept(plain({"a@b.example"}, std::string(40'000, 'x')));
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
  }
  CHECK_FALSE(s.store->has_room());
  CHECK(s.store->room_left() == 0);
  const auto refused = s.accept(plain({"a@b.example"}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == Error::Kind::full);
  // There is room for everything else.
  for (const Claim& c : s.claim(1000)) REQUIRE(s.settle(outcome_of(c, Verdict::delivered)));
  CHECK(s.problems() == "");
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  if (s.options.reserve == 0) CHECK(s.accept(plain({"a@b.example"})));
  if (s.options.reserve == 0) CHECK(s.store->room_left() > 0);
  if (s.options.reserve == 0) CHECK(s.store->room_left() <= s.options.max_size);
}

TEST_CASE("the oldest job that waits for a commit is as old as the writer is slow") {
  Fresh s;
  CHECK(s.store->oldest_wait().count() == 0);
  Gate gate;
  gate.close(*s.store);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(s.store->oldest_wait() >= std::chrono::milliseconds(20));
  // Who comes later does not make it younger.
  std::promise<void> done;
  s.store->submit(
      {Job::Kind::intake, [](Write&) { return Result<void>{}; }, [&](Result<void>) { done.set_value(); }});
  CHECK(s.store->oldest_wait() >= std::chrono::milliseconds(20));
  gate.open();
  done.get_future().wait();
  REQUIRE(s.change([](Write&) { return Result<void>{}; }));
  s.store->close();
  CHECK(s.store->oldest_wait().count() == 0);
}

TEST_CASE(
    "close() answers all that was submitted before, and what comes later at once, on the caller's thread") {
  Fresh s;
  Gate gate;
  gate.close(*s.store);
  constexpr std::size_t n = 50;
  std::atomic<std::size_t> committed{0};
  for (std::size_t i = 0; i < n; ++i)
    s.store->submit({i % 2 ? Job::Kind::patient : Job::Kind::change,
                     [i](Write& write) -> Result<void> {
                       write.put(Table::history, nth(i), "x");
                       return {};
                     },
                     [&committed](Result<void> r) { committed += r.has_value() ? 1 : 0; }});
  std::thread closing([&s] { s.store->close(); });
  gate.open();
  closing.join();
  CHECK(committed == n);
  for (std::size_t i = 0; i < n; ++i) CHECK(Read(*s.store).has(Table::history, nth(i)));

  for (const auto kind : {Job::Kind::intake, Job::Kind::change, Job::Kind::patient}) {
    std::optional<Result<void>> answer;
    std::thread::id where;
    s.store->submit({kind, [](Write&) -> Result<void> { return {}; },
                     [&](Result<void> r) { answer = std::move(r), where = std::this_thread::get_id(); }});
    REQUIRE(answer.has_value());
    CHECK(where == std::this_thread::get_id());
    REQUIRE_FALSE(answer->has_value());
    CHECK(answer->error().kind == Error::Kind::stopped);
  }
  s.store->close();  // once more: nothing happens
}

TEST_CASE("jobs of other threads cannot keep a closing writer at work for ever") {
  Fresh s;
  std::atomic<bool> end{false};
  std::atomic<std::size_t> refused{0};
  std::vector<std::thread> busy;
  for (int i = 0; i < 3; ++i)
    busy.emplace_back([&] {
      while (!end)
        s.store->submit({Job::Kind::change, [](Write&) -> Result<void> { return {}; },
                         [&refused](Result<void> r) { refused += r.has_value() ? 0 : 1; }});
    });
  s.store->close();  // returns while the others go on
  while (refused == 0) std::this_thread::yield();
  end = true;
  for (std::thread& one : busy) one.join();
}

TEST_CASE("after close() no callback of the options is called: a reroute in slices ends with its slice") {
  Folder folder;
  Opened s(folder.path());
  std::atomic<int> due{0};
  s.options.route = [](std::string_view domain) { return std::string(domain); };
  s.options.on_due = [&due](const std::string&) { ++due; };
  REQUIRE(s.open());
  std::vector<std::string> people;
  for (int i = 0; i < 30'000; ++i) people.push_back("m" + std::to_string(i) + "@gone.example");
  REQUIRE(s.accept(plain(std::move(people))));
  s.store.reset();
  s.options.route = [](std::string_view) { return std::string("relay"); };
  REQUIRE(s.open());
  bool answered = false;
  s.store->reroute("gone.example", [&answered](const Result<void>&) { answered = true; });
  s.store->close();
  CHECK(answered);
  const int then = due;
  s.store.reset();
  CHECK(due == then);
  REQUIRE(s.open());
  CHECK(s.problems() == "");
}
