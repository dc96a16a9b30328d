// Work over many commits: what it may touch, what it does after an error, who begins it.
#include <doctest/doctest.h>
#include <sys/mman.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "store/directory/apply.hpp"
#include "store/directory/operations.hpp"
#include "store/key.hpp"
#include "store/record.hpp"
#include "store/spool/rows.hpp"
#include "tests/store/lists.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

std::uint64_t rows(Opened& s, Table table) {
  return Read(*s.store).entries(table);
}

/// Until nothing of what `stage` names is left.
bool calm(Opened& s) {
  for (int i = 0; i < 20'000 && rows(s, Table::stage) > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return rows(s, Table::stage) == 0;
}

/// Ends the store in the middle of uploads, as a crash does.
void cut_off_uploads(Opened& s, int uploads, int megabytes) {
  const std::string megabyte(1 << 20, 'x');
  for (int i = 0; i < uploads; ++i) {
    const auto upload = await<Id>([&](auto cb) { s.store->stage_begin(cb); });
    REQUIRE(upload);
    for (int k = 0; k < megabytes; ++k)
      REQUIRE(await<void>([&](auto cb) { s.store->stage_append(*upload, megabyte, cb); }));
  }
  s.reopen();
}

/// Commits fail with this error: `skip` of them pass before, `fails` fail.
struct Fault {
  std::atomic<int> skip{-1}, fails{0}, error{ENOSPC};
  int operator()(const char* point) {
    if (std::string_view(point) != "commit" || skip < 0) return 0;
    if (skip > 0) return --skip, 0;
    return fails > 0 ? (--fails, error.load()) : 0;
  }
};

template <class F>
bool wait_for(F f) {
  for (int i = 0; i < 20'000 && !f(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return f();
}

}  // namespace

TEST_CASE("the sweep of the start leaves alone what was accepted after the start") {
  Fresh s([&](Options& o) { o.max_size = 2ull << 30; });
  const list::List list = make_list(s, "test", 20'000);
  cut_off_uploads(s, 1, 60);
  REQUIRE(s.accept(post_to(list, 200'000)));
  const auto second = await<Id>([&](auto cb) { s.store->stage_begin(cb); });
  REQUIRE(second);
  for (int i = 0; i < 20; ++i)
    REQUIRE(await<void>([&](auto cb) { s.store->stage_append(*second, std::string(100'000, 'z'), cb); }));
  Acceptance large = plain({"a@b.example"});
  large.content.staged = *second;
  large.content.size = 2'000'000;
  REQUIRE(s.accept(std::move(large)));
  CHECK(calm(s));
  CHECK(s.problems() == "");
  std::size_t claimed = 0;
  for (const Claim& claim : s.claim(100'000)) claimed += claim.recipients.size();
  CHECK(claimed > 0);
  CHECK(s.store->trouble() == "");
}

TEST_CASE("an acceptance whose stage row is gone fails: nothing half swept comes to exist") {
  Folder folder;
  bool taken = false;
  Opened s(folder.path());
  s.options.max_size = 2ull << 30;
  s.options.fault = [&](const char* point) {
    if (std::string_view(point) != "slice" || taken) return 0;
    taken = true;  // from the writer's thread, between two slices of the acceptance
    s.store->submit({Job::Kind::change,
                     [](Write& write) -> Result<void> {
                       const Key prefix = Key().u8(static_cast<std::uint8_t>(spool::StageKind::accept));
                       Cursor c = write.cursor(Table::stage);
                       if (c.last() && c.at(prefix)) c.del(write);
                       return {};
                     },
                     {}});
    return 0;
  };
  REQUIRE(s.open());
  const list::List list = make_list(s, "test", 60'000);
  const auto accepted = s.accept(post_to(list, 200'000));
  REQUIRE(taken);
  REQUIRE(!accepted);
  CHECK(accepted.error().kind == Error::Kind::conflict);
  CHECK(rows(s, Table::message) == 0);
}

TEST_CASE("many uploads cut off by a crash: the sweep of the start lets others commit between") {
  Fresh s([&](Options& o) { o.max_size = 2ull << 30; });
  cut_off_uploads(s, 20, 8);
  REQUIRE(s.accept(plain({"a@b.example"})));
  CHECK(rows(s, Table::stage) > 0);  // it was accepted in between, however late this thread had its turn
  CHECK(calm(s));
  CHECK(s.problems() == "");
  CHECK(rows(s, Table::content) == 1);
}

TEST_CASE("a release in slices goes on when the disk was full for a moment") {
  Fault fault;
  Fresh s([&](Options& o) { o.fault = std::ref(fault); });
  const Id id = s.accept(plain(many(200'000)))->ids[0];
  REQUIRE(s.whole(id, Store::Whole::hold));
  fault.fails = 2;  // the slice, and its second try at once
  fault.skip = 1;   // the first commit of the release is good; a quick machine makes two in all
  REQUIRE(s.whole(id, Store::Whole::release));
  REQUIRE(wait_for([&] { return fault.fails == 0; }));
  CHECK(s.message(id)->counts.held > 0);
  CHECK(wait_for([&] { return s.message(id)->counts.held == 0; }));
  CHECK(s.problems() == "");
}

TEST_CASE("work that waits for space ends with the store, and goes on at the next start") {
  Fault fault;
  Fresh s([&](Options& o) { o.fault = std::ref(fault); });
  const Id id = s.accept(plain(many(200'000)))->ids[0];
  REQUIRE(s.whole(id, Store::Whole::hold));
  fault.fails = 1'000'000;
  fault.skip = 1;
  REQUIRE(s.whole(id, Store::Whole::release));
  REQUIRE(wait_for([&] { return fault.fails < 1'000'000; }));
  s.store.reset();  // does not wait for the second to pass
  fault.skip = -1;
  s.reopen();
  CHECK(wait_for([&] { return s.message(id)->counts.held == 0; }));
  CHECK(s.problems() == "");
}

TEST_CASE("a large content that is finished goes while the store runs") {
  Fresh s([&](Options& o) { o.max_size = 2ull << 30; });
  REQUIRE(s.accept(plain({"a@b.example"}, "Subject: x\r\n\r\n" + std::string(60'000'000, 'x'))));
  for (const Claim& c : s.claim()) REQUIRE(s.settle(outcome_of(c, Verdict::delivered))->finished);
  CHECK(calm(s));
  CHECK(rows(s, Table::content) == 0);
}

TEST_CASE("an acceptance in slices that fails on a full disk is dropped when there is space again") {
  Fault fault;
  Fresh s([&](Options& o) { o.fault = std::ref(fault); });
  const list::List list = make_list(s, "test", 60'000);
  fault.skip = 3;
  fault.fails = 3;  // a slice, then the removal of what was written, twice
  const auto refused = s.accept(post_to(list, 200'000));
  REQUIRE(!refused);
  CHECK(refused.error().kind == Error::Kind::full);
  CHECK(calm(s));
  CHECK(rows(s, Table::content) == 0);
  CHECK(rows(s, Table::recipients) == 0);
}

TEST_CASE("an upload that is given up while the disk is full is dropped later") {
  Fault fault;
  Fresh s([&](Options& o) { o.fault = std::ref(fault); });
  const auto upload = await<Id>([&](auto cb) { s.store->stage_begin(cb); });
  REQUIRE(await<void>([&](auto cb) { s.store->stage_append(*upload, std::string(100'000, 'z'), cb); }));
  fault.skip = 0;
  fault.fails = 2;
  REQUIRE(await<void>([&](auto cb) { s.store->stage_abandon(*upload, cb); }));
  CHECK(fault.fails == 0);
  CHECK(calm(s));
  CHECK(rows(s, Table::content) == 0);
}

TEST_CASE("a route is held behind any number of entries of others, and a crash keeps the decision") {
  Fault fault;
  Fresh s([&](Options& o) {
    o.max_size = 2ull << 30;
    o.fault = std::ref(fault);
  });
  REQUIRE(s.accept(plain(many(60'000))));
  // A time each: as many entries before those that are to be held.
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    for (std::uint32_t i = 0; i < 60'000; ++i)
      write.put(Table::due, Key().str("relay").time(noon - Duration(60'000 - i)).u64(1).u32(0),
                Packer().num(1).num(0).bytes());
    return {};
  }));
  s.pass(Duration(1));
  const Id id = s.accept(plain(many(1000)))->ids[0];
  Settlement hold;
  hold.message = id;
  hold.route = "relay";
  hold.hold = true;
  bool crash = false;
  SUBCASE("at once") {}
  SUBCASE("after a crash") {
    crash = true;
  }
  if (crash) {
    fault.skip = 1;
    fault.fails = 1'000'000;
  }
  REQUIRE(s.settle(hold));
  if (crash) {
    s.store.reset();
    fault.skip = -1;
    s.reopen();
  }
  CHECK(calm(s));
  CHECK(s.message(id)->counts.held == 1000);
}

TEST_CASE("what is released is not held by a decision of before") {
  Fault fault;
  Fresh s([&](Options& o) { o.fault = std::ref(fault); });
  const Id id = s.accept(plain(many(5000)))->ids[0];
  Settlement hold;
  hold.message = id;
  hold.route = "relay";
  hold.hold = true;
  fault.fails = 2;
  fault.skip = 1;
  REQUIRE(s.settle(hold));
  REQUIRE(wait_for([&] { return fault.fails == 0; }));  // it waits for a second now
  REQUIRE(s.whole(id, Store::Whole::release));
  CHECK(calm(s));
  CHECK(s.message(id)->counts.held == 0);
  CHECK(s.message(id)->state == MessageState::queued);
  CHECK(s.problems() == "");
}

TEST_CASE("suspects of long ago and changes that nobody needs are swept") {
  Fresh s;
  Settlement settlement;
  settlement.route = "relay";
  for (int i = 0; i < 200; ++i) {
    Suspect& suspect = settlement.suspects.emplace_back();
    suspect.route = "relay";
    suspect.address = "user" + std::to_string(i) + "@x.example";
    suspect.last_drop = s.now() - std::chrono::hours(24 * (i < 150 ? 40 : 20));
  }
  REQUIRE(s.settle(settlement));
  const list::List list = make_list(s, "test", 0);
  for (int k = 0; k < 11; ++k)
    REQUIRE(s.change([&](Write& write) -> Result<void> {
      for (int i = 0; i < 10'000; ++i)
        REQUIRE(directory::apply(write, {{}, {}, directory::LeasePosts{list.id, 1}}));
      return {};
    }));
  REQUIRE(rows(s, Table::change) >= 110'000);
  REQUIRE(await<void>([&](auto cb) { s.store->sweep(s.now(), cb); }));
  CHECK(rows(s, Table::suspect) == 50);
  CHECK(rows(s, Table::change) == 100'000);
}

TEST_CASE("members of a removed list go while the store runs") {
  Fresh s;
  const list::List list = make_list(s, "test", 5000);
  REQUIRE(s.change(directory::RemoveList{list.id}));
  CHECK(wait_for([&] { return rows(s, Table::member) == 0 && rows(s, Table::import) == 0; }));
}

TEST_CASE("a setting of a list that another version wrote: its default, and the operator is told") {
  Folder folder;
  std::vector<std::string> told;
  Opened s(folder.path());
  s.options.on_warning = [&](const std::string& text) { told.push_back(text); };
  REQUIRE(s.open());
  const list::List list = make_list(s, "test", 10);
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    std::string record(*write.get(Table::list, Key().u32(list.id)));
    const std::size_t at = record.find("verp");
    record.replace(at + 5, 6, "sometimes", 6);  // it was "always"
    return write.put(Table::list, Key().u32(list.id), record), Result<void>{};
  }));
  const auto has_text = [&](std::string_view text) {
    return Read(*s.store).get(Table::list, Key().u32(list.id))->find(text) != std::string_view::npos;
  };
  s.reopen();
  REQUIRE(told.size() == 1);
  CHECK(told[0].find("test@lists.example") != std::string::npos);
  CHECK(told[0].find("verp = 'someti'") != std::string::npos);
  CHECK(directory::list(Read(*s.store), list.id)->settings.verp == list::Settings{}.verp);
  CHECK(s.accept(post_to(list, 100)));
  REQUIRE(s.change(directory::SetList{list.id, {{"own_posts", "no"}}}));
  CHECK(has_text("someti"));  // what the other version wrote is still there when that version comes back
  REQUIRE(s.change(directory::SetList{list.id, {{"verp", "never"}}}));
  CHECK_FALSE(has_text("someti"));
  CHECK(directory::list(Read(*s.store), list.id)->settings.verp == list::Verp::never);
  CHECK(s.store->trouble() == "");
}

namespace {
/// Of an allocation so large that it has pages of its own.
bool is_free(char* octets) {
#ifdef __SANITIZE_ADDRESS__
  return __asan_address_is_poisoned(octets) != 0;
#else
  unsigned char resident = 0;
  return ::mincore(octets - reinterpret_cast<std::uintptr_t>(octets) % 4096, 1, &resident) != 0;
#endif
}
}  // namespace

TEST_CASE("a slice of an upload that is answered takes no memory, whatever was committed with it") {
  Folder folder;
  Opened s(folder.path());
  REQUIRE(s.open());
  const auto upload = await<Id>([&](auto cb) { s.store->stage_begin(cb); });
  std::string slice(40 << 20, 'x');
  char* const octets = slice.data();
  std::promise<bool> freed;
  s.store->stage_append(*upload, std::move(slice),
                        [&](const Result<void>& kept) { freed.set_value(kept && is_free(octets)); });
  CHECK(freed.get_future().get());
}
