// The numbers of posts: leased in blocks, taken in memory, and none of them twice.
#include "store/post_numbers.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <thread>

#include "store/directory/apply.hpp"
#include "store/key.hpp"
#include "store/spool/post_blocks.hpp"
#include "tests/store/lists.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

using Posts = std::vector<std::uint32_t>;

/// The numbers of the posts that exist, in the order of acceptance.
Posts posts(const Opened& s) {
  Posts found;
  for (const Message& m : spool::messages(Read(*s.store), 0, 1000, true)) found.push_back(m.post);
  return found;
}

Posts up_to(std::uint32_t n, std::uint32_t from = 1) {
  Posts all;
  for (; from <= n; ++from) all.push_back(from);
  return all;
}

std::uint64_t leases(Opened& s, list::ListId list) {
  const Read read(*s.store);
  const auto log = directory::changes(read, directory::low_water(read) - 1, 100'000);
  REQUIRE(log);
  return static_cast<std::uint64_t>(std::count_if(log->begin(), log->end(), [list](const auto& logged) {
    const auto* lease = std::get_if<directory::LeasePosts>(&logged.change);
    return lease != nullptr && lease->list == list;
  }));
}

void copy_store(const std::string& from, const std::string& to) {
  std::filesystem::create_directories(to);
  std::filesystem::copy_file(from + "/data.mdb", to + "/data.mdb");
}

}  // namespace

TEST_CASE("post numbers: posts are numbered without a gap, over restarts, and few leases are written") {
  Fresh s;
  const list::List list = make_list(s, "test", 3);
  for (int restart = 0; restart < 5; ++restart) {
    for (int i = 0; i < 8; ++i) REQUIRE(s.accept(post_to(list, 10)));
    CHECK(last_post(Read(*s.store), *directory::list(Read(*s.store), list.id)) == posts(s).size());
    s.reopen();
  }
  CHECK(posts(s) == up_to(40));
  CHECK(leases(s, list.id) <= 10);
  CHECK(s.problems() == "");
}

TEST_CASE("post numbers: a list of an earlier version goes on behind its last post") {
  Fresh s;
  const list::List list = make_list(s, "test", 1);
  REQUIRE(s.change(
      directory::LeasePosts{list.id, 17}));  // as 17 posts were logged: no row says who has the numbers
  CHECK(last_post(Read(*s.store), *directory::list(Read(*s.store), list.id)) == 17);
  REQUIRE(s.accept(post_to(list, 10)));
  CHECK(posts(s) == Posts{18});
}

TEST_CASE("post numbers: after a crash at any commit the next post has the next number") {
  Folder folder, copies;
  Opened s(folder.path());
  int copied = 0;
  bool copying = false;
  s.options.fault = [&](const char* point) {
    if (copying && std::string_view(point) == "committed")
      copy_store(folder.path(), copies.path() + "/" + std::to_string(copied++));
    return 0;
  };
  REQUIRE(s.open());
  const list::List list = make_list(s, "test", 2);
  copying = true;
  for (int i = 0; i < 12; ++i) REQUIRE(s.accept(post_to(list, 10)));
  s.store.reset();
  REQUIRE(copied >= 13);
  for (int i = 0; i < copied; ++i) {
    CAPTURE(i);
    Opened crashed(copies.path() + "/" + std::to_string(i));
    REQUIRE(crashed.open());
    const auto before = static_cast<std::uint32_t>(posts(crashed).size());
    for (int more = 0; more < 10; ++more) REQUIRE(crashed.accept(post_to(list, 10)));
    CHECK(posts(crashed) == up_to(before + 10));
  }
}

TEST_CASE(
    "post numbers: one that was taken and not accepted is skipped; posts may be accepted in another order") {
  Fresh s;
  const list::List list = make_list(s, "test", 1);
  const auto accept = [&](std::uint32_t number) {
    Acceptance post = post_to(list, 10);
    post.messages[0].message.post = number;
    REQUIRE(s.accept(std::move(post)));
  };
  const auto lost = s.post_number(list.id), second = s.post_number(list.id), third = s.post_number(list.id);
  CHECK(lost == 1);
  accept(*third);
  CHECK(last_post(Read(*s.store), list) == 3);
  accept(*second);
  CHECK(last_post(Read(*s.store), list) == 3);
  s.reopen();
  CHECK(s.post_number(list.id) == 4);
  Acceptance none = post_to(list, 10);
  none.messages[0].message.post = 0;
  CHECK(await<Accepted>([&](auto done) { s.store->accept(std::move(none), done); }).error().kind ==
        Error::Kind::invalid);
}

TEST_CASE("post numbers: a list that is removed and made again is another list") {
  Fresh s;
  const list::List list = make_list(s, "test", 1);
  for (int i = 0; i < 3; ++i) REQUIRE(s.accept(post_to(list, 10)));
  const auto late = s.post_number(list.id);
  REQUIRE(s.change(directory::RemoveList{list.id}));
  CHECK(Read(*s.store).entries(Table::post_blocks) == 0);
  const list::List again = make_list(s, "test", 1);
  CHECK(again.id != list.id);
  CHECK(s.post_number(again.id) == 1);
  // A post that took its number before is not accepted, and leaves no row behind.
  Acceptance post = post_to(list, 10);
  post.messages[0].message.post = *late;
  CHECK(s.accept(std::move(post)).error().kind == Error::Kind::not_found);
  CHECK(Read(*s.store).entries(Table::post_blocks) == 1);
  PostNumbers& numbers = s.store->post_numbers();
  while (numbers.take(Read(*s.store), list.id)) continue;
  CHECK(await<void>([&](auto done) { numbers.lease(list.id, done); }).error().kind == Error::Kind::not_found);
}

TEST_CASE("post numbers: many threads at once get each number once, and the blocks grow") {
  Fresh s;
  const list::List list = make_list(s, "test", 1);
  constexpr int threads = 8, each = 500;
  std::vector<Posts> taken(threads);
  {
    std::vector<std::jthread> all;
    for (Posts& mine : taken)
      all.emplace_back([&] {
        for (int i = 0; i < each; ++i) mine.push_back(s.post_number(list.id).value());
      });
  }
  Posts together;
  for (const Posts& mine : taken) {
    CHECK(std::is_sorted(mine.begin(), mine.end()));
    together.insert(together.end(), mine.begin(), mine.end());
  }
  std::sort(together.begin(), together.end());
  CHECK(together == up_to(threads * each));
  CHECK(leases(s, list.id) < threads * each / 8);
}

TEST_CASE("post numbers: a lease that fails is answered, and the next one is tried anew") {
  std::atomic<int> error{0};
  Fresh s([&](Options& o) {
    o.fault = [&](const char* point) { return std::string_view(point) == "commit" ? error.load() : 0; };
  });
  const list::List list = make_list(s, "test", 1);
  error = ENOSPC;
  CHECK(s.accept(post_to(list, 10)).error().kind == Error::Kind::full);
  error = 0;
  CHECK(s.post_number(list.id) == 1);
  s.store->close();
  PostNumbers& numbers = s.store->post_numbers();
  while (numbers.take(Read(*s.store), list.id)) continue;
  CHECK(await<void>([&](auto done) { numbers.lease(list.id, done); }).error().kind == Error::Kind::stopped);
}

TEST_CASE("post numbers: two nodes never give the same number, also where one store is a copy of the other") {
  Fresh first;
  const list::List list = make_list(first, "test", 1);
  for (int i = 0; i < 3; ++i) REQUIRE(first.accept(post_to(list, 10)));  // it has numbers left then
  Folder folder;
  copy_store(first.store->path(), folder.path());
  Opened second(folder.path());
  REQUIRE(second.open());
  REQUIRE(second.change([](Write& write) -> Result<void> {
    write.put(Table::meta, "node", Key().u16(5));
    return {};
  }));
  // The second node asks the first one, and writes down what it got.
  const auto lease = [&](list::ListId id, std::uint32_t count, bool, Callback<PostNumbers::Block> done) {
    const auto leased = first.change(directory::LeasePosts{id, count});
    REQUIRE(leased);
    const std::uint32_t last = leased->list.last_post, begin = last - count + 1;
    REQUIRE(second.change([&](Write& write) -> Result<void> {
      spool::add_post_block(write, id, begin, last);
      return {};
    }));
    done(PostNumbers::Block{begin, last});
  };
  std::map<std::uint32_t, int> given;
  for (const std::uint32_t number : posts(first)) ++given[number];
  auto numbers = std::make_unique<PostNumbers>(lease);
  const auto take_of_second = [&] {
    for (;; numbers->lease(list.id, [](const auto&) {}))
      if (const auto number = numbers->take(Read(*second.store), list.id)) return *number;
  };
  Posts of_first, of_second;
  for (int i = 0; i < 200; ++i) {
    of_first.push_back(first.post_number(list.id).value());
    for (int k = 0; k < i % 3; ++k) of_second.push_back(take_of_second());
    if (i % 50 == 49) {  // a crash of either: what was taken last is accepted
      for (Opened* s : std::initializer_list<Opened*>{&first, &second})
        REQUIRE(s->change([&](Write& write) -> Result<void> {
          spool::use_post_number(write, list.id, (s == &first ? of_first : of_second).back());
          return {};
        }));
      first.reopen();
      second.reopen();
      numbers = std::make_unique<PostNumbers>(lease);
    }
  }
  for (const Posts& of_one : {of_first, of_second}) {
    CHECK(std::is_sorted(of_one.begin(), of_one.end()));
    for (const std::uint32_t number : of_one) ++given[number];
  }
  CHECK(of_second.size() >= 190);
  for (const auto& [number, times] : given) CHECK(times == 1);
}
