// Every piece of work over many commits, with every one of its commits failing in turn: for lack of space it goes on
// when there is space again; after an error of the disk it goes on at the next start.
#include <doctest/doctest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "store/key.hpp"
#include "tests/store/lists.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

constexpr std::size_t people = 4000;

struct Chain {
  const char* name;
  std::function<void(Opened&)> prepare;
  std::function<void(Opened&)> begin;  // and again, after a failure that a caller is told of
  std::function<bool(Opened&)> over;
};

std::uint64_t rows(Opened& s, Table table) {
  return Read(*s.store).entries(table);
}

Id only_message(Opened& s) {
  return spool::messages(Read(*s.store), 0, 1).at(0).id;
}

void one_message(Opened& s) {
  Acceptance a = plain(many(people));
  a.messages[0].message.reverse_path.clear();  // nobody gets reports, which would keep it
  REQUIRE(s.accept(std::move(a)));
}

void fill_list(Opened& s) {
  make_list(s, "test", people);
}

list::List the_list(Opened& s) {
  return *directory::find_list(Read(*s.store), "test", "lists.example");
}

/// The answer is waited for; an error is none of the test's business: the caller tries again.
template <class T, class F>
void answered(F f) {
  (void)await<T>(f);
}

std::vector<Chain> chains() {
  std::vector<Chain> all;
  all.push_back({"acceptance in slices", fill_list,
                 [](Opened& s) {
                   if (rows(s, Table::message) == 0) (void)s.accept(post_to(the_list(s), 300'000));
                 },
                 [](Opened& s) {
                   return rows(s, Table::message) == 1 && rows(s, Table::stage) == 0 &&
                          rows(s, Table::recipients) == (people + 255) / 256;
                 }});
  all.push_back({"upload that is given up", [](Opened&) {},
                 [](Opened& s) {
                   const auto id = await<Id>([&](auto cb) { s.store->stage_begin(cb); });
                   if (!id) return;
                   for (int i = 0; i < 4; ++i)
                     answered<void>(
                         [&](auto cb) { s.store->stage_append(*id, std::string(2'000'000, 'u'), cb); });
                   answered<void>([&](auto cb) { s.store->stage_abandon(*id, cb); });
                 },
                 [](Opened& s) { return rows(s, Table::stage) == 0 && rows(s, Table::content) == 0; }});
  all.push_back({"end of a large content",
                 [](Opened& s) { REQUIRE(s.accept(plain({"a@x.example"}, std::string(30'000'000, 'x')))); },
                 [](Opened& s) {
                   const auto claims =
                       await<std::vector<Claim>>([&](auto cb) { s.store->claim("relay", s.now(), 500, cb); });
                   if (!claims) return;
                   for (const Claim& c : *claims) {  // a lane keeps what it heard until the store takes it
                     auto settled = s.settle(outcome_of(c, Verdict::delivered));
                     while (!settled && settled.error().kind == Error::Kind::full)
                       settled = s.settle(outcome_of(c, Verdict::delivered));
                   }
                 },
                 [](Opened& s) {
                   return rows(s, Table::message) == 0 && rows(s, Table::stage) == 0 &&
                          rows(s, Table::content) == 0;
                 }});
  all.push_back({"release",
                 [](Opened& s) {
                   one_message(s);
                   REQUIRE(s.whole(only_message(s), Store::Whole::hold));
                 },
                 [](Opened& s) {
                   if (s.message(only_message(s))->counts.held == people)
                     (void)s.whole(only_message(s), Store::Whole::release);
                 },
                 [](Opened& s) {
                   return s.message(only_message(s))->counts.queued == people && rows(s, Table::stage) == 0;
                 }});
  all.push_back({"hold of a route", one_message,
                 [](Opened& s) {
                   Settlement hold;
                   hold.message = only_message(s);
                   hold.route = "relay";
                   hold.hold = true;
                   (void)s.settle(hold);
                 },
                 [](Opened& s) {
                   return s.message(only_message(s))->counts.held == people && rows(s, Table::stage) == 0;
                 }});
  all.push_back({"reroute",
                 [](Opened& s) {
                   s.options.route = [](std::string_view) { return std::string("gone"); };
                   s.reopen();
                   one_message(s);
                   s.options.route = {};
                 },
                 [](Opened& s) { answered<void>([&](auto cb) { s.store->reroute("gone", cb); }); },
                 [](Opened& s) { return !spool::earliest_due(Read(*s.store), "gone"); }});
  all.push_back({"what a wrong clock made due",
                 [](Opened& s) {
                   s.pass(std::chrono::hours(24 * 365));
                   one_message(s);
                   s.pass(-std::chrono::hours(24 * 365));
                 },
                 [](Opened& s) { answered<void>([&](auto cb) { s.store->sweep(s.now(), cb); }); },
                 [](Opened& s) {
                   const auto due = spool::due_routes(Read(*s.store));
                   return due.size() == 1 && due[0].earliest <= s.now();
                 }});
  all.push_back({"sweep",
                 [](Opened& s) {
                   for (int i = 0; i < 3; ++i) one_message(s);
                   for (;;) {
                     const auto claims = s.claim(2000);
                     if (claims.empty()) break;
                     for (const Claim& c : claims) REQUIRE(s.settle(outcome_of(c, Verdict::failed)));
                   }
                 },
                 [](Opened& s) {
                   const TimePoint later = s.now() + std::chrono::hours(24 * 15);
                   answered<void>([&](auto cb) { s.store->sweep(later, cb); });
                 },
                 [](Opened& s) {
                   return rows(s, Table::finished) == 0 && rows(s, Table::recipient) == 0 &&
                          rows(s, Table::history) == 0;
                 }});
  all.push_back({"members of a removed list", fill_list,
                 [](Opened& s) {
                   if (rows(s, Table::list) == 1) (void)s.change(directory::RemoveList{the_list(s).id});
                 },
                 [](Opened& s) {
                   return rows(s, Table::list) == 0 && rows(s, Table::member) == 0 &&
                          rows(s, Table::import) == 0;
                 }});
  return all;
}

/// One run with commit number n failing. Whether that commit was reached.
bool run(const Chain& chain, const std::string& base, int n, int error) {
  std::atomic<int> skip{-1}, fails{0};
  std::atomic<bool> stopped{false};
  Folder folder;
  std::filesystem::copy_file(base + "/data.mdb", folder.path() + "/data.mdb");
  Opened s(folder.path());
  s.options.max_size = 1ull << 30;
  s.options.pause_when_full = std::chrono::milliseconds(20);
  s.options.fault = [&](const char* point) {
    if (std::string_view(point) != "commit" || skip < 0) return 0;
    if (skip > 0) return --skip, 0;
    return fails > 0 ? (--fails, error) : 0;
  };
  s.options.on_stop = [&](const std::string&) { stopped = true; };
  fails = error == ENOSPC ? 2 : 1;  // for lack of space the writer tries once more by itself
  skip = n;
  if (auto ok = s.open(); !ok) FAIL(ok.error().text);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  bool over = false;
  while (!over && std::chrono::steady_clock::now() < until) {
    chain.begin(s);
    for (int i = 0; i < 100 && !stopped && !(over = chain.over(s)); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    if (!stopped) continue;
    skip = -1;
    stopped = false;
    s.reopen();
  }
  INFO(std::string(chain.name) << ", commit " << n << ", error " << error);
  CHECK(over);
  CHECK(s.problems() == "");
  return fails == 0;
}

}  // namespace

TEST_CASE("each commit of each piece of work fails once: it comes to its end") {
  for (const Chain& chain : chains()) {
    Folder base;
    {
      Opened s(base.path());
      s.options.max_size = 1ull << 30;
      REQUIRE(s.open());
      chain.prepare(s);
    }
    int steps = 0;
    for (const int error : {ENOSPC, EIO})
      for (int n = 0; n < 40 && run(chain, base.path(), n, error); ++n) ++steps;
    MESSAGE(std::string(chain.name) << ": " << steps << " failures");
    CHECK(steps >= 2);  // a quick machine does some of them in one commit
  }
}
