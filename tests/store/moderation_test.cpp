// Posts held for moderation: held, accepted, decided twice, forwarded, limits, and what a crash at each commit leaves.
#include "store/spool/moderation.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "store/spool/check.hpp"
#include "store/spool/content.hpp"
#include "tests/store/lists.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

HeldPost held(Opened& s, const list::List& list) {
  HeldPost post;
  post.id = s.store->new_id();
  post.list = list.id;
  post.list_address = list.address();
  post.at = s.now();
  post.until = s.now() + std::chrono::hours(24 * 7);
  post.rule = "nonmembers";
  post.reason = "eve@x.example is not a member";
  post.reverse_path = post.poster = "eve@x.example";
  post.scanned.size = 14 + 102;
  post.scanned.header_size = 14;
  post.scanned.body.leading_dots = true;
  post.utf8 = true;
  post.been_there = "X-BeenThere: outer@lists.example\r\n";
  post.given_to = {7, 9};
  return post;
}

/// The post is held, and one address is told, at most `most` times a day.
Acceptance holding(Opened& s, const list::List& list, std::uint32_t most = 10, std::size_t octets = 100) {
  Acceptance a;
  a.content.bytes =
      std::make_shared<const std::string>("Subject: x\r\n\r\n" + std::string(octets, 'y') + "\r\n");
  a.held.push_back(held(s, list));
  NewMessage& notice = a.messages.emplace_back();
  notice.head = "Subject: held\r\n\r\n";
  notice.body = {{0, 50, ""}};
  notice.recipients.push_back({"moderator@m.example"});
  notice.limit = TellingLimit{"moderators", most};
  return a;
}

Decision by_anna(Decision::What what, Id post) {
  Decision decision;
  decision.what = what;
  decision.held = post;
  decision.who = "anna";
  return decision;
}

Acceptance accepting(const HeldPost& post, const list::List& list) {
  Acceptance a = post_to(list, post.scanned.size - 16);
  a.content = {};
  a.content.kept = post.content;
  a.content.size = post.scanned.size;
  a.decision = by_anna(Decision::What::accept, post.id);
  return a;
}

std::vector<std::string> problems(Opened& s) {
  return spool::check(Read(*s.store)).problems;
}

struct House {
  Folder folder;
  Opened s{folder.path()};
  list::List list;
  explicit House(std::size_t members = 3) {
    REQUIRE(s.open());
    list = make_list(s, "test", members);
  }
  Id hold(std::uint32_t most = 10, std::size_t octets = 100) {
    const auto done = s.accept(holding(s, list, most, octets));
    REQUIRE(done);
    REQUIRE(done->held.size() == 1);
    return done->held.front();
  }
  HeldPost post(Id id) { return spool::held_post(Read(*s.store), id).value(); }
};

}  // namespace

TEST_CASE("moderation: a held post is kept as it came, and shown with all that its cooking needs") {
  House h;
  const Id id = h.hold();
  const HeldPost expected = held(h.s, h.list);
  h.s.reopen();
  const HeldPost post = h.post(id);
  CHECK(post.number == 1);
  CHECK(post.list == h.list.id);
  CHECK(post.until == expected.until);
  CHECK(post.scanned == expected.scanned);
  CHECK(post.reason == expected.reason);
  CHECK((post.utf8 && !post.require_tls));
  CHECK(post.been_there == expected.been_there);
  CHECK(post.given_to == expected.given_to);
  const Read read(*h.s.store);
  CHECK(spool::content(read, post.content, 0, 1000).starts_with("Subject: x\r\n\r\nyyy"));
  CHECK(spool::held_post(read, h.list.id, 1)->id == id);
  CHECK_FALSE(spool::decision(read, id));
  CHECK(spool::messages(read, 0, 10).size() == 1);  // the notice alone is in the queue
  CHECK(problems(h.s).empty());
}

TEST_CASE("moderation: accepted, it becomes one message; whoever decides second is told who and when") {
  House h;
  const Id id = h.hold();
  const HeldPost post = h.post(id);
  const auto accepted = h.s.accept(accepting(post, h.list));
  REQUIRE(accepted);
  CHECK(accepted->recipients.front() == 3);
  CHECK_FALSE(spool::held_post(Read(*h.s.store), id));
  CHECK(problems(h.s).empty());
  for (int again = 0; again < 2; ++again) {
    const auto second = h.s.accept(accepting(post, h.list));
    REQUIRE_FALSE(second);
    CHECK(second.error().kind == Error::Kind::conflict);
    CHECK(second.error().text ==
          "post " + id_text(id) + " was accepted by anna at " + rfc3339(h.s.now()) + " already");
    h.s.reopen();
  }
  CHECK(problems(h.s).empty());
  Acceptance unknown;
  unknown.decision = by_anna(Decision::What::discard, 12345);
  CHECK(h.s.accept(std::move(unknown)).error().kind == Error::Kind::not_found);
}

TEST_CASE("moderation: discarded, its content goes with the last that refers to it") {
  House h;
  const Id id = h.hold();
  const HeldPost post = h.post(id);
  Acceptance discard;
  discard.decision = by_anna(Decision::What::discard, id);
  REQUIRE(h.s.accept(std::move(discard)));
  CHECK(spool::find_content(Read(*h.s.store), post.content)->references == 1);  // the notice shows it
  for (const Claim& claim : h.s.claim()) REQUIRE(h.s.settle(outcome_of(claim, Verdict::delivered)));
  CHECK_FALSE(spool::find_content(Read(*h.s.store), post.content));
  CHECK(problems(h.s).empty());
  // Accepted now, it finds nothing of the content.
  CHECK_FALSE(h.s.accept(accepting(post, h.list)));
  CHECK(problems(h.s).empty());
}

TEST_CASE("moderation: forwarded, it goes on waiting; a large one too") {
  House h;
  const Id id = h.hold(10, 100'000);
  const HeldPost post = h.post(id);
  Acceptance forward;
  forward.content.kept = post.content;
  NewMessage& m = forward.messages.emplace_back();
  m.head = "Subject: forwarded\r\n\r\n";
  m.body = {{0, 1000, ""}};
  m.recipients.push_back({"friend@x.example"});
  REQUIRE(h.s.accept(std::move(forward)));
  CHECK(spool::find_content(Read(*h.s.store), post.content)->references == 3);
  CHECK(spool::held_post(Read(*h.s.store), id));
  CHECK(problems(h.s).empty());
  for (const Claim& claim : h.s.claim()) REQUIRE(h.s.settle(outcome_of(claim, Verdict::delivered)));
  CHECK(spool::find_content(Read(*h.s.store), post.content)->references == 1);
  CHECK(problems(h.s).empty());
}

TEST_CASE("moderation: the octets of all held posts are known") {
  House h;
  const auto octets = [&] { return spool::held_octets(Read(*h.s.store)); };
  CHECK(octets() == 0);
  const Id first = h.hold(), second = h.hold();
  const std::uint64_t one = h.post(first).scanned.size;
  CHECK(octets() == 2 * one);
  Acceptance discard;
  discard.decision = by_anna(Decision::What::discard, first);
  REQUIRE(h.s.accept(std::move(discard)));
  CHECK(octets() == one);
  // A store of a version before says nothing yet.
  REQUIRE(h.s.change([](Write& write) -> Result<void> {
    write.del(Table::held, Key().u32(0).u32(0));
    return {};
  }));
  CHECK(octets() == one);
  CHECK(problems(h.s).empty());
  Acceptance accept = accepting(h.post(second), h.list);
  REQUIRE(h.s.accept(std::move(accept)));
  CHECK(octets() == 0);
  CHECK(problems(h.s).empty());
}

TEST_CASE("moderation: numbers rise and are not given twice; pages; a limit of notices a day") {
  House h;
  const list::List other = make_list(h.s, "other", 1);
  std::vector<Id> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(h.hold(2));
  CHECK(spool::messages(Read(*h.s.store), 0, 100).size() == 2);  // two notices
  Acceptance discard;
  discard.decision = by_anna(Decision::What::discard, ids.back());
  REQUIRE(h.s.accept(std::move(discard)));
  CHECK(h.post(h.hold(2)).number == 6);
  {
    const Read read(*h.s.store);
    const auto page = spool::held_posts(read, h.list.id, {h.list.id, 2}, 2);
    REQUIRE(page.size() == 2);
    CHECK(page[0].number == 3);
    CHECK(page[1].number == 4);
    CHECK(spool::held_posts(read, 0, {}, 100).size() == 5);
    CHECK(spool::held_posts(read, other.id, {}, 100).empty());
    CHECK(spool::count_held(read, h.list.id) == 5);
    CHECK_FALSE(spool::may_tell(read, {"moderators", 2}, h.s.now()));
    CHECK(spool::may_tell(read, {"moderators", 2}, h.s.now() + std::chrono::hours(24)));
  }
  CHECK(problems(h.s).empty());
  // What was decided is forgotten after [spool] history; what waits is not.
  h.s.pass(std::chrono::hours(24 * 15));
  REQUIRE(await<void>([&](auto cb) { h.s.store->sweep(h.s.now(), cb); }));
  const Read read(*h.s.store);
  CHECK_FALSE(spool::decision(read, ids.back()));
  CHECK(spool::held_post(read, ids.front()));
  CHECK(read.entries(Table::told) == 0);
}

TEST_CASE("moderation: a list so large that the acceptance takes slices, and two moderators at once") {
  House h(20'000);
  const Id id = h.hold();
  const HeldPost post = h.post(id);
  Acceptance first = accepting(post, h.list), second = accepting(post, h.list);
  REQUIRE(h.s.number(first));
  REQUIRE(h.s.number(second));
  std::promise<Result<Accepted>> one, two;
  h.s.store->accept(std::move(first), [&](Result<Accepted> r) { one.set_value(std::move(r)); });
  h.s.store->accept(std::move(second), [&](Result<Accepted> r) { two.set_value(std::move(r)); });
  const auto a = one.get_future().get(), b = two.get_future().get();
  CHECK(a.has_value() != b.has_value());
  CHECK((a ? b : a).error().kind == Error::Kind::conflict);
  CHECK(wait_until([&] { return problems(h.s).empty(); }));
  std::uint64_t posts = 0;
  for (const Message& m : spool::messages(Read(*h.s.store), 0, 100)) posts += m.list == h.list.id ? 1u : 0u;
  CHECK(posts == 1);
}

TEST_CASE("moderation: killed after each commit, a post is held or is a message, never both or none") {
  House h(20'000);
  const Id id = h.hold();
  const HeldPost post = h.post(id);
  Folder copies;
  int taken = 0;
  h.s.store.reset();
  h.s.options.fault = [&](const char* point) {
    if (std::string_view(point) == "committed") {
      const auto to = std::filesystem::path(copies.path()) / std::to_string(taken++);
      std::filesystem::create_directory(to);
      std::filesystem::copy_file(h.folder.path() + "/data.mdb", to / "data.mdb");
    }
    return 0;
  };
  REQUIRE(h.s.open());
  REQUIRE(h.s.accept(accepting(post, h.list)));
  h.s.store.reset();
  REQUIRE(taken >= 3);
  for (int n = 0; n < taken; ++n) {
    Opened left((std::filesystem::path(copies.path()) / std::to_string(n)).string());
    REQUIRE(left.open());
    CHECK(wait_until([&] { return problems(left).empty(); }));
    const bool waits = spool::held_post(Read(*left.store), id).has_value();
    std::uint64_t posts = 0;
    for (const Message& m : spool::messages(Read(*left.store), 0, 100)) posts += m.list != 0 ? 1u : 0u;
    CHECK(posts == (waits ? 0 : 1));
    // Approve again: exactly one post.
    const auto again = left.accept(accepting(post, h.list));
    CHECK(again.has_value() == waits);
  }
}
