#include "store/backup.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

#include "store/data_file.hpp"
#include "store/env.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

std::string as_store(const Folder& folder) {
  return folder.path() + "/data.mdb";
}

struct Target {
  explicit Target(const std::string& path)
      : file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) {
    REQUIRE(file >= 0);
  }
  ~Target() { ::close(file); }
  int file;
};

}  // namespace

TEST_CASE("a backup of a store that nobody writes to is that store, without its free pages") {
  Folder folder, copy;
  Opened s(folder.path());
  REQUIRE(s.open());
  const Id gone =
      s.accept(plain({"a@x.example"}, "Subject: x\r\n\r\n" + std::string(4'000'000, 'x')))->ids[0];
  const Id kept = s.accept(plain(many(300), "Subject: y\r\n\r\n" + std::string(100'000, 'y')))->ids[0];
  REQUIRE(s.whole(gone, Store::Whole::remove));
  BackupFigures figures;
  {
    const Target target(as_store(copy));
    auto done = s.store->backup(target.file, [] {});
    REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().text));
    figures = *done;
  }
  CHECK(figures.states == 1);
  CHECK(figures.octets == std::filesystem::file_size(as_store(copy)));
  CHECK(figures.copied < 2'000'000);
  Opened restored(copy.path());
  REQUIRE(restored.open());
  CHECK(restored.problems() == "");
  CHECK(restored.recipients(kept).size() == 300);
  CHECK(spool::content(Read(*restored.store), restored.message(kept)->content, 0, 1u << 20).size() ==
        100'014);
  CHECK(restored.store->secret() == s.store->secret());
  REQUIRE(restored.accept(plain({"new@x.example"})));
  CHECK(restored.problems() == "");
}

TEST_CASE("a backup beside a busy writer slides from state to state, and is one of them") {
  Folder folder, copy;
  Opened s(folder.path());
  REQUIRE(s.open());
  // Something to copy: pages that stay, and pages that are freed and used again all the time.
  for (int i = 0; i < 40; ++i)
    REQUIRE(s.accept(plain(many(5), "Subject: x\r\n\r\n" + std::string(200'000, 'x'))));
  std::atomic<bool> stop{false};
  std::atomic<int> rounds{0};
  std::thread writer([&] {
    while (!stop) {
      s.pass(Duration(1));
      const auto a = s.accept(plain(many(5), "Subject: z\r\n\r\n" + std::string(60'000, 'z')));
      if (a) (void)s.whole(a->ids[0], Store::Whole::remove);
      for (const Claim& claim : s.claim(20)) (void)s.settle(outcome_of(claim, Verdict::delivered));
      ++rounds;
    }
  });
  // Each state is given up after 2 ms: as if the disk were slow.
  BackupFigures figures;
  {
    const Target target(as_store(copy));
    const auto step = [&] {
      const int now = rounds;
      CHECK(wait_until([&] { return rounds > now; }));
    };
    auto done = s.store->backup(target.file, step, Duration(2));
    REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().text));
    figures = *done;
  }
  stop = true;
  writer.join();
  MESSAGE(figures.states << " states, " << figures.copied << " octets copied for a file of "
                         << figures.octets);
  CHECK(figures.states > 1);
  Opened restored(copy.path());
  restored.clock = s.clock;
  REQUIRE(restored.open());
  CHECK(restored.problems() == "");
  for (const Message& m : spool::messages(Read(*restored.store), 0, 1000)) {
    const auto bytes = spool::content(Read(*restored.store), m.content, 0, 1u << 20);
    REQUIRE(bytes.size() == m.size);
    const char filling = bytes[9];
    CHECK(std::all_of(bytes.begin() + 14, bytes.end(), [&](char c) { return c == filling; }));
  }
}

TEST_CASE("a backup that is interrupted leaves no reader behind") {
  Folder folder, copy;
  Opened s(folder.path());
  REQUIRE(s.open());
  REQUIRE(s.accept(plain(many(5), std::string(3'000'000, 'x'))));
  struct Enough {};
  const Target target(as_store(copy));
  CHECK_THROWS_AS((void)s.store->backup(
                      target.file, [] { throw Enough{}; }, Duration(0)),
                  Enough);
  s.store.reset();
  auto env = Env::open(
      {.path = folder.path(), .max_size = 256u << 20, .open = Env::Settings::Open::existing, .map_size = 0});
  REQUIRE(env);
  CHECK((*env)->readers().empty());
}

TEST_CASE("compact writes the store anew without its free pages; the number of its transactions goes on") {
  Fresh s;
  const Id gone = s.accept(plain({"a@x.example"}, std::string(8'000'000, 'x')))->ids[0];
  const Id kept = s.accept(plain(many(300), std::string(100'000, 'y')))->ids[0];
  REQUIRE(s.whole(gone, Store::Whole::remove));
  CHECK(compact(s.folder.path(), 256u << 20, false).error().kind == Error::Kind::locked);
  s.store.reset();
  const auto before = std::filesystem::file_size(as_store(s.folder));
  const auto would = compact(s.folder.path(), 256u << 20, true);
  REQUIRE(would);
  CHECK(would->before == before);
  CHECK(std::filesystem::file_size(as_store(s.folder)) == before);
  std::uint64_t txn = 0;
  {
    auto env = Env::open({.path = s.folder.path(),
                          .max_size = 256u << 20,
                          .open = Env::Settings::Open::read_only,
                          .map_size = 0});
    REQUIRE(env);
    txn = (*env)->last_txn();
  }
  const auto done = compact(s.folder.path(), 256u << 20, false);
  REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().text));
  CHECK(done->after == std::filesystem::file_size(as_store(s.folder)));
  CHECK(done->after < 2'000'000);
  CHECK(done->after <= would->after + 100'000);
  {
    auto env = Env::open({.path = s.folder.path(),
                          .max_size = 256u << 20,
                          .open = Env::Settings::Open::read_only,
                          .map_size = 0});
    REQUIRE(env);
    CHECK((*env)->last_txn() > txn);
  }
  s.reopen();
  CHECK(s.problems() == "");
  CHECK(s.recipients(kept).size() == 300);
  for (int i = 0; i < 5; ++i) REQUIRE(s.accept(plain({"b@x.example"})));
  s.reopen();
  CHECK(s.problems() == "");
  CHECK(spool::messages(Read(*s.store), 0, 100).size() == 6);
}
