// Group commit: who gets an error and who does not, who waits for whom.
#include "store/writer.hpp"

#include <doctest/doctest.h>
#include <lmdb.h>

#include <cerrno>

#include "store/broken.hpp"
#include "store/key.hpp"
#include "tests/store/gate.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

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
  CHECK(waited < std::chrono::seconds(20));
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
