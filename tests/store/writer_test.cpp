// Group commit: who gets an error and who does not, what a full or broken disk does.
#include "store/writer.hpp"

#include <doctest/doctest.h>
#include <lmdb.h>

#include <cerrno>

#include "store/broken.hpp"
#include "store/key.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

/// Holds the writer in a job until the others have been submitted, so that they make one group.
class Gate {
 public:
  void close(Store& store) {
    store.submit({Job::Kind::change,
                  [this](Write&) -> Result<void> {
                    if (std::exchange(passed_, true))
                      return {};  // run again, alone, for one of its group failed
                    entered_.set_value();
                    opened_.get_future().wait();
                    return {};
                  },
                  [](Result<void>) {}});
    entered_.get_future().wait();
  }
  void open() { opened_.set_value(); }

 private:
  bool passed_ = false;
  std::promise<void> entered_, opened_;
};

Key nth(std::size_t i) {
  return Key().str("test").u32(static_cast<std::uint32_t>(i));
}

}  // namespace

TEST_CASE("group commit: a fault in job i of n hits only that job") {
  constexpr std::size_t n = 7;
  for (std::size_t bad = 0; bad < n; ++bad)
    for (const bool wrote : {false, true}) {
      CAPTURE(bad);
      CAPTURE(wrote);
      Folder folder;
      Opened s(folder.path());
      REQUIRE(s.open());
      std::vector<std::promise<Result<void>>> answers(n);
      Gate gate;
      gate.close(*s.store);
      const auto commits = s.store->figures().commits;
      for (std::size_t i = 0; i < n; ++i) {
        const auto kind = i % 3 == 0   ? Job::Kind::intake
                          : i % 3 == 1 ? Job::Kind::change
                                       : Job::Kind::patient;
        s.store->submit({kind,
                         [=](Write& write) -> Result<void> {
                           if (i != bad || wrote) write.put(Table::history, nth(i), "x");
                           if (i == bad) return fail(Error::Kind::conflict, "as asked");
                           return {};
                         },
                         [&answers, i](Result<void> r) { answers[i].set_value(std::move(r)); }});
      }
      gate.open();
      for (std::size_t i = 0; i < n; ++i) {
        const auto answer = answers[i].get_future().get();
        CHECK(answer.has_value() == (i != bad));
        if (!answer) CHECK(answer.error().text == "as asked");
        CHECK(Read(*s.store).has(Table::history, nth(i)) == (i != bad));
      }
      if (!wrote) CHECK(s.store->figures().commits == commits + 1);
    }
}

TEST_CASE("group commit: what comes while a job is applied is in its commit") {
  Fresh s;
  const auto put = [](std::uint32_t i) {
    return [i](Write& write) -> Result<void> {
      write.put(Table::history, nth(i), "x");
      return {};
    };
  };
  const auto commits_of_two = [&] {
    const auto commits = s.store->figures().commits;
    std::promise<void> entered, late;
    std::promise<Result<void>> first, second;
    s.store->submit({Job::Kind::change,
                     [&](Write& write) {
                       entered.set_value();
                       late.get_future().wait();
                       return put(0)(write);
                     },
                     [&](Result<void> r) { first.set_value(std::move(r)); }});
    entered.get_future().wait();
    s.store->submit({Job::Kind::intake, put(1), [&](Result<void> r) { second.set_value(std::move(r)); }});
    late.set_value();
    CHECK(first.get_future().get());
    CHECK(second.get_future().get());
    return s.store->figures().commits - commits;
  };
  // The work of the start may be in the first one's batch: then the second one's batch is another.
  (void)commits_of_two();
  // A transaction takes no more in after 20 ms, and on a busy machine these two threads may need longer.
  CHECK(wait_until([&] { return commits_of_two() == 1; }));
}

TEST_CASE("group commit: an exception of LMDB in one job is that job's error") {
  Fresh s([&](Options& o) { o.map_size = 4u << 20; });
  Gate gate;
  gate.close(*s.store);
  std::vector<std::promise<Result<void>>> answers(5);
  for (std::size_t i = 0; i < 5; ++i)
    s.store->submit({Job::Kind::intake,
                     [i](Write& write) -> Result<void> {
                       const std::size_t size =
                           i == 2 ? 8u << 20 : 100;  // the third needs more than the whole map
                       write.put(Table::content, nth(i), std::string(size, 'x'));
                       return {};
                     },
                     [&answers, i](Result<void> r) { answers[i].set_value(std::move(r)); }});
  gate.open();
  for (std::size_t i = 0; i < 5; ++i) {
    const auto answer = answers[i].get_future().get();
    CHECK(answer.has_value() == (i != 2));
    if (!answer) CHECK(answer.error().kind == Error::Kind::full);
  }
  CHECK(s.store->trouble() == "");
}

TEST_CASE("what waits while a commit runs goes into the next one together") {
  Fresh s;
  Gate gate;
  gate.close(*s.store);
  const auto before = s.store->figures().commits;
  std::promise<void> last;
  for (std::size_t i = 0; i < 100; ++i)
    s.store->submit(
        {Job::Kind::intake,
         [i](Write& write) -> Result<void> { return write.put(Table::history, nth(i), "x"), Result<void>{}; },
         [&last, i](Result<void>) {
           if (i == 99) last.set_value();
         }});
  gate.open();
  last.get_future().wait();
  CHECK(s.store->figures().commits == before + 1);
}

TEST_CASE("settles wait for company, but not long") {
  Fresh s;
  const auto put = [](std::size_t i) {
    return
        [i](Write& write) -> Result<void> { return write.put(Table::history, nth(i), "x"), Result<void>{}; };
  };
  // The jobs of the start are done once this is answered: they would be company.
  REQUIRE(s.change([](Write&) -> Result<void> { return {}; }));
  REQUIRE(s.change([](Write&) -> Result<void> { return {}; }));
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  REQUIRE(s.change(put(1), Job::Kind::patient));
  const auto waited = Clock::now() - begin;
  CHECK(waited >= std::chrono::milliseconds(4));
  CHECK(waited < std::chrono::seconds(2));
  // With other work there is nothing to wait for: the settle is in that commit.
  const auto before = s.store->figures().commits;
  std::promise<void> settled;
  s.store->submit({Job::Kind::patient, put(2), [&](Result<void>) { settled.set_value(); }});
  REQUIRE(s.change(put(3)));
  settled.get_future().wait();
  CHECK(s.store->figures().commits == before + 1);
}

namespace {

/// A writer on a store of its own, without the store's own jobs.
struct Alone {
  Alone() {
    Opened made(folder.path());
    REQUIRE(made.open());
    made.store.reset();
    auto opened = Env::open({.path = folder.path(), .max_size = 1 << 30});
    REQUIRE(opened);
    env = std::move(*opened);
    room.emplace(*env, 1 << 30, 0);
    writer.emplace(*env, *room, Writer::Wiring{[] { return TimePoint{}; }, nullptr, nullptr});
  }
  void commit() {
    std::promise<void> done;
    writer->submit({Job::Kind::change, nothing, [&](Result<void>) { done.set_value(); }});
    done.get_future().wait();
  }
  static Result<void> nothing(Write&) { return {}; }

  Folder folder;
  std::unique_ptr<Env> env;
  std::optional<Room> room;
  std::optional<Writer> writer;
};

}  // namespace

TEST_CASE("an announced job is waited for, until it is withdrawn or two commits have passed") {
  Alone s;
  Writer& writer = *s.writer;
  CHECK(writer.expected() == 0);
  Announcement first = writer.announce(), second = writer.announce();
  CHECK(writer.expected() == 2);
  second.reset();
  CHECK(writer.expected() == 1);
  const auto begin = Writer::Clock::now();
  s.commit();
  CHECK(Writer::Clock::now() - begin >= std::chrono::microseconds(300));
  CHECK(writer.expected() == 1);
  Announcement third = writer.announce();
  s.commit();
  CHECK(writer.expected() == 1);  // the first one is too slow
  first.reset();
  CHECK(writer.expected() == 1);
  third.reset();
  CHECK(writer.expected() == 0);
}

TEST_CASE("long work ends its slice sooner where somebody waits for a commit; a patient job does not count") {
  Alone s;
  Writer& writer = *s.writer;
  using std::chrono::microseconds;
  std::vector<bool> seen;
  std::promise<void> done;
  const auto look = [&](Write&) -> Result<void> {
    seen.push_back(writer.enough(microseconds(1000)));
    writer.submit({Job::Kind::patient, Alone::nothing, nullptr});
    seen.push_back(writer.enough(microseconds(1000)));
    seen.push_back(writer.enough(microseconds(2000)));
    writer.submit({Job::Kind::intake, Alone::nothing, [&](Result<void>) { done.set_value(); }});
    seen.push_back(writer.enough(microseconds(1000)));
    seen.push_back(writer.enough(microseconds(100)));
    return {};
  };
  writer.submit({Job::Kind::change, look, nullptr});
  done.get_future().wait();
  CHECK(seen == std::vector<bool>{false, false, true, true, false});
}

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
  const auto refused = s.accept(plain({"a@b.example"}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == Error::Kind::full);
  // There is room for everything else.
  for (const Claim& c : s.claim(1000)) REQUIRE(s.settle(outcome_of(c, Verdict::delivered)));
  CHECK(s.problems() == "");
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  if (s.options.reserve == 0) CHECK(s.accept(plain({"a@b.example"})));
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
  end = true;
  for (std::thread& one : busy) one.join();
  CHECK(refused > 0);
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
