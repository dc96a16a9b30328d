#include "store/readers.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/store/holder.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

constexpr std::uint64_t max_size = 64u << 20;

std::uintmax_t file_size(const std::string& folder) {
  return std::filesystem::file_size(folder + "/data.mdb");
}

/// Writes and overwrites 100 KB, `times` commits.
void churn(Opened& s, int times) {
  for (int i = 0; i < times; ++i)
    REQUIRE(s.change([i](Write& write) -> Result<void> {
      write.put(Table::import, "churn", std::string(100'000, static_cast<char>('a' + i % 26)));
      return {};
    }));
}

}  // namespace

TEST_CASE("what a killed reader pinned is free again when the readers are checked") {
  Folder folder;
  Opened s(folder.path());
  Holder holder(folder.path(), 256u << 20);
  REQUIRE(s.open());
  churn(s, 50);
  holder.begin();
  holder.kill();
  churn(s, 100);
  const auto pinned = file_size(folder.path());
  CHECK(pinned > 10u << 20);  // nothing that was freed since was written again
  CHECK(s.store->check_readers().dead == 1);
  churn(s, 400);
  CHECK(file_size(folder.path()) < pinned + (8u << 20));
  CHECK(s.store->check_readers().dead == 0);
}

TEST_CASE("a store that a killed reader has filled takes changes and intake at once, without a timer") {
  Folder folder;
  Opened s(folder.path());
  s.options.max_size = max_size;
  Holder holder(folder.path(), max_size);
  REQUIRE(s.open());
  churn(s, 10);
  holder.begin();
  holder.kill();
  // 400 MB through a map of 320 MiB.
  for (int i = 0; i < 4000; ++i) {
    const auto done = s.change([i](Write& write) -> Result<void> {
      write.put(Table::import, "churn", std::string(100'000, static_cast<char>('a' + i % 26)));
      return {};
    });
    REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().text));
  }
  CHECK(s.accept(plain({"anne@x.example"})));
  CHECK(s.store->trouble().empty());
}

TEST_CASE("pages that a living reader pins count as used: intake closes before the map is full") {
  Folder folder;
  Opened s(folder.path());
  s.options.max_size = max_size;
  Holder holder(folder.path(), max_size);
  REQUIRE(s.open());
  churn(s, 10);
  holder.begin();
  bool open = true;
  for (int i = 0; i < 1500 && open; ++i) {
    churn(s, 1);
    open = s.store->has_room();
  }
  CHECK_FALSE(open);
  CHECK(s.store->figures().used >= max_size);
  CHECK(file_size(folder.path()) < max_size + (64u << 20));
  churn(s, 20);  // what is not intake goes on
  holder.kill();
  CHECK(wait_until([&] { return s.store->has_room(); }));
  CHECK(s.store->figures().used < max_size);
}

TEST_CASE("places of a thousand killed readers are taken again by the next Read") {
  Folder folder;
  Opened s(folder.path());
  Holder holder(folder.path(), 256u << 20, 1000);
  REQUIRE(s.open());
  holder.begin();
  holder.kill();
  std::vector<std::unique_ptr<Read>> reads;
  for (int i = 0; i < 100; ++i) reads.push_back(std::make_unique<Read>(*s.store));
  CHECK(reads.back()->has(Table::meta, "format"));
}

TEST_CASE("the reader table names other processes in a Read; the store's own pinning is not among them") {
  Folder folder;
  Holder holder(folder.path(), 2ull << 30);
  auto env = Env::open(
      {.path = folder.path(), .max_size = 2ull << 30, .open = Env::Settings::Open::create, .map_size = 0});
  REQUIRE(env);
  const auto commit = [&] {
    auto write = (*env)->begin(noon);
    write->put(Table::import, "key", "value");
    REQUIRE((*env)->commit(std::move(write)) == 0);
  };
  for (int i = 0; i < 40; ++i) commit();  // so many that the store pins what they freed
  CHECK((*env)->readers().empty());
  holder.begin();
  const auto then = (*env)->last_txn();
  commit();
  const auto readers = (*env)->readers();
  REQUIRE(readers.size() == 1);
  CHECK(readers[0].pid == holder.pid());
  CHECK(readers[0].txn == then);
  CHECK((*env)->last_txn() == then + 1);
  CHECK((*env)->check_readers() == 0);
  CHECK((*env)->readers().size() == 1);
}

TEST_CASE("ReaderWatch: old is who was behind already at a look 5 s ago") {
  using std::chrono::seconds;
  ReaderWatch watch;
  const ReaderWatch::Clock::time_point start{seconds(1000)};
  const Reader old{17, 40}, current{18, 50};
  CHECK(watch.look({old, current}, 50, start).empty());
  CHECK(watch.look({old, current}, 50, start + seconds(4)).empty());
  const auto named = watch.look({old, current}, 55, start + seconds(10));
  REQUIRE(named.size() == 1);
  CHECK(named[0].pid == 17);
  CHECK(named[0].age == seconds(10));
  CHECK(named[0].behind == 15);
  CHECK(watch.look({old}, 60, start + seconds(20)).empty());  // named already
  // A process that reads again and again reads a later state each time.
  CHECK(watch.look({Reader{17, 61}}, 62, start + seconds(30)).empty());
  CHECK(watch.look({Reader{17, 63}}, 64, start + seconds(40)).empty());
}
