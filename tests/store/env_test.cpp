#include "store/env.hpp"

#include <doctest/doctest.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "store/broken.hpp"
#include "store/key.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;
using Open = Env::Settings::Open;

namespace {

Env::Settings small(const std::string& path, Open open = Open::create) {
  return {.path = path, .max_size = 64u << 20, .open = open, .map_size = 0};
}

}  // namespace

TEST_CASE("a store is made once and keeps its secret") {
  Folder folder;
  CHECK(Env::open(small(folder.path(), Open::existing)).error().kind == Error::Kind::not_found);
  CHECK(Env::open(small(folder.path(), Open::read_only)).error().kind == Error::Kind::not_found);
  std::string secret;
  {
    auto env = Env::open(small(folder.path()));
    REQUIRE(env);
    secret = (*env)->secret();
    CHECK(secret.size() == 32);
    auto write = (*env)->begin(noon);
    write->put(Table::stage, "key", "value");
    CHECK_FALSE(write->put_new(Table::stage, "key", "other"));
    CHECK((*env)->commit(std::move(write)) == 0);
  }
  auto env = Env::open(small(folder.path(), Open::existing));
  REQUIRE(env);
  CHECK((*env)->secret() == secret);
  CHECK(Read(**env).get(Table::stage, "key") == "value");
  auto aborted = (*env)->begin(noon);
  CHECK(aborted->del(Table::stage, "key"));
  CHECK_FALSE(aborted->del(Table::stage, "key"));
  CHECK(aborted->changes() == 1);
  aborted.reset();
  CHECK(Read(**env).has(Table::stage, "key"));
}

TEST_CASE("one process holds the store; another may read beside it") {
  Folder folder;
  auto env = Env::open(small(folder.path()));
  REQUIRE(env);
  const auto second = Env::open(small(folder.path(), Open::existing));
  REQUIRE_FALSE(second);
  CHECK(second.error().kind == Error::Kind::locked);
  CHECK(second.error().text.find(std::to_string(::getpid())) != std::string::npos);
}

TEST_CASE("a newer format is refused, naming the upgrade, and not touched") {
  Folder folder;
  {
    auto env = Env::open(small(folder.path()));
    REQUIRE(env);
    auto write = (*env)->begin(noon);
    write->put(Table::meta, "format", Key().u32(format_version + 1));
    REQUIRE((*env)->commit(std::move(write)) == 0);
  }
  const auto env = Env::open(small(folder.path()));
  REQUIRE_FALSE(env);
  CHECK(env.error().kind == Error::Kind::newer);
  CHECK(env.error().text.find("upgrade spoold") != std::string::npos);
}

TEST_CASE("pages that commits made free are held for a few commits, not for good") {
  Folder folder;
  auto settings = small(folder.path());
  settings.map_size = 2ull << 30;  // nothing is held where the map may soon be full
  auto env = Env::open(settings);
  REQUIRE(env);
  for (int i = 0; i < 3000; ++i) {  // each frees what the one before wrote, 10 pages and those of the trees
    auto write = (*env)->begin(noon);
    write->put(Table::content, "big", std::string(40'000, static_cast<char>(i)));
    REQUIRE((*env)->commit(std::move(write)) == 0);
  }
  const auto size = std::filesystem::file_size(folder.path() + "/data.mdb");
  CHECK(size > 500'000);  // what is not held is reused at once
  CHECK(size < 5u << 20);
}

TEST_CASE("a damaged file is refused with what to do") {
  Folder folder;
  const std::string file = folder.path() + "/data.mdb";
  SUBCASE("not a store at all") {
    std::ofstream(file) << std::string(100'000, 'x');
    const auto env = Env::open(small(folder.path()));
    REQUIRE_FALSE(env);
    CHECK(env.error().kind == Error::Kind::corrupt);
    CHECK(env.error().text.find("backup") != std::string::npos);
  }
  SUBCASE("cut short") {
    {
      auto env = Env::open(small(folder.path()));
      REQUIRE(env);
      auto write = (*env)->begin(noon);
      write->put(Table::content, "big", std::string(1'000'000, 'x'));
      REQUIRE((*env)->commit(std::move(write)) == 0);
    }
    std::filesystem::resize_file(file, 100'000);
    const auto env = Env::open(small(folder.path()));
    REQUIRE_FALSE(env);
    CHECK(env.error().kind == Error::Kind::corrupt);
    CHECK(env.error().text.find("backup") != std::string::npos);
  }
}

TEST_CASE("a file that ends before its last page is sound when only free pages are missing") {
  Folder folder, cut;
  const std::string file = folder.path() + "/data.mdb", cut_file = cut.path() + "/data.mdb";
  constexpr std::uintmax_t missing = 400 << 10;
  // Pages that one transaction puts and deletes again are counted and free, but LMDB never writes them. Where they
  // are is its choice: mostly at the end.
  bool found = false;
  for (std::uint32_t i = 0; i < 50 && !found; ++i) {
    auto env = Env::open(small(folder.path()));
    REQUIRE(env);
    auto write = (*env)->begin(noon);
    write->put(Table::import, Key().u32(i), "kept");
    write->put(Table::content, "big", std::string(1'000'000, 'x'));
    write->del(Table::content, "big");
    REQUIRE((*env)->commit(std::move(write)) == 0);
    env->reset();
    std::filesystem::copy_file(file, cut_file, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(cut_file, std::filesystem::file_size(file) - missing);
    found = Env::open(small(cut.path(), Open::read_only)).has_value();
  }
  REQUIRE(found);
  CHECK(std::filesystem::file_size(cut_file) ==
        std::filesystem::file_size(file) - missing);  // only looked at
  {
    auto env = Env::open(small(cut.path()));
    REQUIRE(env);
    CHECK(std::filesystem::file_size(cut_file) == std::filesystem::file_size(file));
    CHECK(Read(**env).get(Table::import, Key().u32(0)) == "kept");
    auto write = (*env)->begin(noon);
    write->put(Table::content, "again", std::string(900'000, 'y'));
    REQUIRE((*env)->commit(std::move(write)) == 0);
    CHECK(Read(**env).get(Table::content, "again") == std::string(900'000, 'y'));
  }
  // A page in use is missing: refused, and left as it was found.
  std::filesystem::resize_file(cut_file, 8192);
  const auto env = Env::open(small(cut.path()));
  REQUIRE_FALSE(env);
  CHECK(env.error().kind == Error::Kind::corrupt);
  CHECK(std::filesystem::file_size(cut_file) == 8192);
}

TEST_CASE("no commit leaves the file shorter than its last page") {
  Folder folder;
  auto env = Env::open(small(folder.path()));
  REQUIRE(env);
  int commits_short = 0;
  for (std::uint32_t i = 0; i < 200; ++i) {
    auto write = (*env)->begin(noon);
    write->put(Table::content, Key().u32(i), std::string(100, 'x'));
    write->put(Table::content, "z", std::string(16'368, 'y'));
    write->del(Table::content, "z");
    REQUIRE((*env)->commit(std::move(write)) == 0);
    MDB_envinfo info{};
    mdb_env_info((*env)->handle(), &info);
    if (std::filesystem::file_size(folder.path() + "/data.mdb") < (info.me_last_pgno + 1) * 4096)
      ++commits_short;
  }
  CHECK(commits_short == 0);
}

TEST_CASE("the LMDB file of another program is refused, and no table is added to it") {
  Folder folder;
  const auto tables_of = [&] {
    MDB_env* other = nullptr;
    MDB_txn* txn = nullptr;
    MDB_dbi main = 0;
    MDB_stat stat{};
    REQUIRE(mdb_env_create(&other) == 0);
    mdb_env_set_maxdbs(other, 4);
    REQUIRE(mdb_env_open(other, folder.path().c_str(), 0, 0640) == 0);
    REQUIRE(mdb_txn_begin(other, nullptr, 0, &txn) == 0);
    MDB_dbi table = 0;
    REQUIRE(mdb_dbi_open(txn, "theirs", MDB_CREATE, &table) == 0);
    REQUIRE(mdb_dbi_open(txn, nullptr, 0, &main) == 0);
    REQUIRE(mdb_stat(txn, main, &stat) == 0);
    REQUIRE(mdb_txn_commit(txn) == 0);
    mdb_env_close(other);
    return stat.ms_entries;
  };
  CHECK(tables_of() == 1);
  for (const Open how : {Open::create, Open::existing, Open::read_only}) {
    const auto env = Env::open(small(folder.path(), how));
    REQUIRE_FALSE(env);
    CHECK(env.error().kind == Error::Kind::corrupt);
    CHECK(env.error().text.find("another program") != std::string::npos);
  }
  CHECK(tables_of() == 1);
}

TEST_CASE("the folder of a store: made for its owner and group, never loosened") {
  Folder folder;
  const auto mode = [](const std::string& path) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 0777;
  };
  const std::string made = folder.path() + "/var/lib/store";
  REQUIRE(Env::open(small(made)));
  CHECK((mode(made) & 027) == 0);
  const std::string tight = folder.path() + "/tight";
  REQUIRE(::mkdir(tight.c_str(), 0700) == 0);
  REQUIRE(Env::open(small(tight)));
  CHECK(mode(tight) == 0700);
}

TEST_CASE("a store keeps some of the disk for the time when it is full") {
  Fresh s;
  const std::string path = s.folder.path() + "/ballast";
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK(status.st_blocks * 512 >= Ballast::size);
  Ballast ballast;
  ballast.release(s.folder.path());
  CHECK_FALSE(std::filesystem::exists(path));
  ballast.keep(s.folder.path());
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("ids increase, also over restarts and a clock that goes back") {
  Folder folder;
  std::set<Id> seen;
  Id last = 0;
  for (int round = 0; round < 4; ++round) {
    auto env = Env::open(small(folder.path()));
    REQUIRE(env);
    auto write = (*env)->begin(noon - std::chrono::minutes(round));
    const bool aborted = round == 2;  // then its ids were never seen by anybody, and may come again
    bool increasing = true, own_node = true;
    Id previous = last;
    for (int i = 0; i < 9000; ++i) {
      const Id id = write->next_id();
      increasing = increasing && id > previous;
      own_node = own_node && (id >> 12 & 0x3ff) == 0;
      previous = id;
      if (!aborted) seen.insert(id);
    }
    CHECK(increasing);
    CHECK(own_node);
    if (aborted) continue;
    last = previous;
    REQUIRE((*env)->commit(std::move(write)) == 0);
  }
  CHECK(seen.size() == 27000);
}

TEST_CASE("ids that were given ahead of a transaction are not given again by the process after its commit") {
  Folder folder;
  Id used = 0;
  {
    auto env = Env::open(small(folder.path()));
    REQUIRE(env);
    std::vector<std::thread> threads;
    std::vector<std::vector<Id>> given(4);
    for (std::vector<Id>& of_thread : given)
      threads.emplace_back([&] {
        for (int i = 0; i < 5000; ++i) of_thread.push_back((*env)->new_id(noon));
      });
    for (std::thread& thread : threads) thread.join();
    std::set<Id> all;
    for (const std::vector<Id>& of_thread : given) {
      CHECK(std::is_sorted(of_thread.begin(), of_thread.end()));
      all.insert(of_thread.begin(), of_thread.end());
    }
    CHECK(all.size() == 20000);
    used = *all.rbegin();
    auto write = (*env)->begin(noon);
    CHECK(write->next_id() > used);
    REQUIRE((*env)->commit(std::move(write)) == 0);
    used = (*env)->new_id(noon + std::chrono::hours(1));  // beyond the mark of that commit
    write = (*env)->begin(noon);
    write->covers(used);
    REQUIRE((*env)->commit(std::move(write)) == 0);
  }
  auto env = Env::open(small(folder.path()));
  REQUIRE(env);
  CHECK((*env)->first_new() > used);
}

TEST_CASE("a record that cannot be read at the start is an error of open, not an exception") {
  for (const Table table :
       {Table::stage, Table::claim, Table::due, Table::import, Table::message, Table::report}) {
    Folder folder;
    Opened s(folder.path());
    REQUIRE(s.open());
    REQUIRE(s.change([&](Write& write) -> Result<void> {
      write.put(table, std::string("\x04", 1), "\xff\xfe\xfd");
      return {};
    }));
    s.store.reset();
    CHECK_NOTHROW((void)s.open());
  }
}

TEST_CASE("a cursor walks a prefix both ways and deletes") {
  Folder folder;
  auto env = Env::open(small(folder.path()));
  REQUIRE(env);
  auto write = (*env)->begin(noon);
  for (const char* key : {"a1", "b1", "b2", "b3", "c1"}) write->put(Table::due, key, key);
  std::string got;
  write->each(Table::due, "b", [&](auto key, auto) { return got += key, true; });
  CHECK(got == "b1b2b3");
  {
    Cursor c = write->cursor(Table::due);
    REQUIRE(c.seek_before("b1"));
    CHECK(c.key() == "a1");
    REQUIRE(c.seek_before("zz"));
    CHECK(c.key() == "c1");
    REQUIRE(c.seek("b2"));
    c.del(*write);
    REQUIRE(c.next());
    CHECK(c.key() == "b3");
    CHECK_FALSE(c.seek("d"));
    CHECK_FALSE(c.at(""));
  }
  CHECK(write->entries(Table::due) == 4);
}

TEST_CASE("a full map is `full`, and the store goes on") {
  Folder folder;
  auto settings = small(folder.path());
  settings.map_size = 1u << 20;
  auto env = Env::open(settings);
  REQUIRE(env);
  auto write = (*env)->begin(noon);
  try {
    for (int i = 0; i < 1000; ++i)
      write->put(Table::content, Key().u32(static_cast<unsigned>(i)), std::string(5000, 'x'));
    FAIL("a map of 1 MiB took 5 MB");
  } catch (const Broken& broken) {
    CHECK(broken.error.kind == Error::Kind::full);
    CHECK(broken.error.text.find("max_size") != std::string::npos);
  }
  write.reset();
  write = (*env)->begin(noon);
  write->put(Table::content, "k", "v");
  CHECK((*env)->commit(std::move(write)) == 0);
}

TEST_CASE("more readers than there are places for: an error that says so, and not for ever") {
  Folder folder;
  auto env = Env::open(small(folder.path()));
  REQUIRE(env);
  std::vector<std::unique_ptr<Read>> readers;
  std::string refused;
  try {
    for (int i = 0; i < 2000; ++i) readers.push_back(std::make_unique<Read>(**env));
  } catch (const Broken& broken) {
    refused = broken.error.text;
  }
  CHECK(readers.size() >= 1000);
  CHECK(refused.find("too many") != std::string::npos);
  readers.clear();
  CHECK(Read(**env).get(Table::meta, "format"));
}
