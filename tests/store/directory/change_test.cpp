// Operations on the directory: applied once, logged with all that a follower needs.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "store/directory/apply.hpp"
#include "store/directory/asked.hpp"
#include "store/directory/scores.hpp"
#include "store/key.hpp"
#include "store/record.hpp"
#include "tests/store/directory/directory_folder.hpp"

using namespace spoold;
using namespace spoold::store;
namespace dir = spoold::store::directory;

namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;
constexpr Table copied[] = {Table::list,       Table::list_name,    Table::member, Table::member_by_id,
                            Table::membership, Table::import,       Table::change, Table::applied,
                            Table::user,       Table::member_score, Table::probe,  Table::asked,
                            Table::asked_token};

Rows rows_of(const Read& read, Table table) {
  Rows rows;
  read.each(table, {}, [&](std::string_view key, std::string_view value) {
    rows.emplace_back(key, value);
    return true;
  });
  return rows;
}

class Place : public DirectoryFolder {
 public:
  explicit Place(std::uint16_t node = 0) {
    write([&](Write& w) {
      w.put(Table::meta, "node", Key().u16(node));
      return 0;
    });
  }
  /// As a job of the writer: at an error nothing is kept.
  Result<dir::Applied> apply(dir::Change change, std::string id = dir::new_operation_id()) {
    auto txn = env_->begin(at);
    auto applied = dir::apply(*txn, {std::move(id), "anne", std::move(change)});
    if (applied) REQUIRE(env_->commit(std::move(txn)) == 0);
    return applied;
  }
  Result<void> follow(const dir::LoggedChange& change) {
    auto txn = env_->begin(at + std::chrono::hours(1));
    auto done = dir::follow(*txn, change);
    if (done) REQUIRE(env_->commit(std::move(txn)) == 0);
    return done;
  }
  Result<void> follow(Place& first, std::size_t at_once) {
    for (;;) {
      const auto mine = read([](const Read& r) { return dir::last_change(r); });
      const auto more = first.read([&](const Read& r) { return dir::changes(r, mine, at_once); });
      if (!more) return tl::unexpected(more.error());
      if (more->empty()) return {};
      for (const dir::LoggedChange& change : *more)
        if (auto done = follow(change); !done) return done;
    }
  }
  void sweep_all() {
    while (write([](Write& w) { return dir::sweep(w); })) continue;
  }
  Rows rows(Table table) {
    return read([&](const Read& r) { return rows_of(r, table); });
  }
  dir::ListId create(const std::string& local) {
    auto made = apply(dir::CreateList{local, "lists.example", {{"owner", "owner@x.example"}}});
    REQUIRE(made);
    return made->list.id;
  }
  bool trim(TimePoint cutoff) {
    return write([&](Write& w) { return dir::trim_changes(w, cutoff, [] { return false; }); });
  }
  TimePoint at = now;
};

list::Member member(std::string address) {
  list::Member m;
  m.address = std::move(address);
  return m;
}

void check_equal(Place& first, Place& second) {
  for (const Table table : copied) {
    CAPTURE(table_names[static_cast<std::size_t>(table)]);
    const bool equal = first.rows(table) == second.rows(table);
    CHECK(equal);
  }
}

}  // namespace

TEST_CASE("an operation that is submitted twice is applied once, and answered as it was") {
  Place place;
  const auto list = place.create("test");
  const dir::Subscribe change{list, {member("Anne@a.example"), member("bert@b.example")}};
  const auto first = place.apply(change, "op");
  REQUIRE(first);
  CHECK_FALSE(first->repeated);
  CHECK(first->events == std::vector<std::string>{"added Anne@a.example to test@lists.example",
                                                  "added bert@b.example to test@lists.example"});
  REQUIRE(place.apply(dir::Unsubscribe{list, {"anne@a.example", "nobody@a.example"}}));
  const auto log = place.rows(Table::change);
  const auto again = place.apply(change, "op");
  REQUIRE(again);
  CHECK(again->repeated);
  CHECK(again->events == first->events);
  REQUIRE(again->members.size() == 2);
  CHECK(again->members[0].id == first->members[0].id);
  CHECK(place.rows(Table::change) == log);
  CHECK_FALSE(place.read([&](const Read& r) { return dir::find_member(r, list, "anne@a.example"); }));
}

TEST_CASE("an operation that fails is not logged, and may be submitted again") {
  Place place;
  const auto list = place.create("test");
  const auto log = place.rows(Table::change);
  CHECK_FALSE(place.apply(dir::Subscribe{list, {member("anne@a.example"), member("no address")}}, "op"));
  CHECK(place.rows(Table::change) == log);
  CHECK(place.rows(Table::member).empty());
  CHECK(place.apply(dir::Subscribe{list, {member("anne@a.example")}}, "op")->members.size() == 1);
  CHECK(place.apply(dir::LeasePosts{list, 0}).error().kind == Error::Kind::invalid);
  CHECK(place.apply(dir::LeasePosts{99, 1}).error().kind == Error::Kind::not_found);
  CHECK_FALSE(place.apply(dir::SetList{list, {{"verp", "sometimes"}}}));
  CHECK_FALSE(place.apply(dir::RemoveList{99}, std::string(65, 'x')));
}

TEST_CASE("a follower that applies the logged changes has the same directory, also on another node") {
  for (const auto node : {std::uint16_t{0}, std::uint16_t{5}}) {
    CAPTURE(node);
    Place first, second(node);
    const auto test = first.create("test"), gone = first.create("gone");
    first.at += std::chrono::seconds(1);
    REQUIRE(first.apply(dir::Subscribe{test, {member("Anne@a.example"), member("bert@b.example")}}));
    REQUIRE(first.apply(dir::Subscribe{test, {member("bert@b.example"), member("carl@c.example")}}));
    REQUIRE(first.apply(dir::SetMember{test, "bert@b.example", "Bert", list::Delivery::digest}));
    REQUIRE(first.apply(dir::Unsubscribe{test, {"anne@a.example", "dirk@d.example"}}));
    REQUIRE(first.apply(dir::Subscribe{gone, {member("anne@a.example")}}));
    REQUIRE(first.apply(dir::SetList{test, {{"verp", "every:3"}, {"description", "All about it"}}}));
    for (const std::uint32_t count : {1u, 2u}) REQUIRE(first.apply(dir::LeasePosts{test, count}));
    const auto begun = first.apply(dir::BeginImport{test});
    REQUIRE(begun);
    REQUIRE(first.apply(dir::ImportRows{begun->import, {member("Zoe@z.example"), member("carl@c.example")}}));
    REQUIRE(second.follow(first, 3));
    CHECK(second.read([&](const Read& r) { return dir::list(r, test)->members; }) == 2);
    REQUIRE(first.apply(dir::FinishImport{begun->import}));
    const auto cut = first.apply(dir::BeginImport{test});
    REQUIRE(first.apply(dir::ImportRows{cut->import, {member("eve@e.example")}}));
    REQUIRE(first.apply(dir::CutImport{cut->import}));
    first.sweep_all();  // the follower has these rows still when the same address comes again
    REQUIRE(first.apply(dir::Subscribe{test, {member("eve@e.example")}}));
    REQUIRE(first.apply(dir::RemoveList{gone}));
    REQUIRE(second.follow(first, 3));
    first.sweep_all();
    second.sweep_all();
    check_equal(first, second);
    CHECK(second.check().empty());
    CHECK(second.read([&](const Read& r) { return dir::list(r, test)->last_post; }) == 3);
    // What comes next here takes no id that the first store gave.
    const auto next = second.apply(dir::Subscribe{test, {member("new@n.example")}});
    for (const auto& [key, value] : first.rows(Table::member_by_id))
      CHECK(KeyReader(key).u40() != next->members[0].id);
  }
}

TEST_CASE(
    "a member moves: what he is stays, what counted against the old address is gone, its bounces are "
    "nobody's") {
  Place first, second;
  const auto test = first.create("test");
  dir::Member carl = member("Carl@c.example");
  carl.name = "Carl";
  carl.delivery = list::Delivery::digest;
  carl.joined = first.at - std::chrono::hours(1000);
  REQUIRE(first.apply(dir::Subscribe{test, {member("bert@b.example"), carl}}));
  dir::SetMember held{test, "carl@c.example", {}, {}};
  held.moderation = list::Action::hold;
  REQUIRE(first.apply(held));
  const auto find = [&](Place& place, const char* key) {
    return place.read([&](const Read& r) { return dir::find_member(r, test, key); });
  };
  const list::MemberId old = find(first, "carl@c.example")->id;
  dir::ScoreMember failure;
  failure.list = test;
  failure.address = "carl@c.example";
  failure.failure = {first.at, false, "gone"};
  const auto counted = first.apply(failure);
  REQUIRE(counted);
  CHECK(counted->scored->counts);

  const auto moved = first.apply(dir::MoveMember{test, "carl@c.example", "Carl@New.example"});
  REQUIRE(moved);
  CHECK(moved->events ==
        std::vector<std::string>{"moved Carl@c.example to Carl@new.example on test@lists.example"});
  CHECK_FALSE(find(first, "carl@c.example"));
  const auto now = find(first, "carl@new.example");
  REQUIRE(now);
  CHECK(now->address == "Carl@new.example");
  CHECK(now->name == "Carl");
  CHECK(now->delivery == list::Delivery::digest);
  CHECK(now->moderation == list::Action::hold);
  CHECK(now->joined == carl.joined);
  // A bounce that names the old address, or the old id.
  const auto late = first.apply(failure);
  REQUIRE(late);
  CHECK_FALSE(late->scored);
  const auto of_id = first.read([&](const Read& r) { return dir::member_by_id(r, old); });
  REQUIRE(of_id);
  CHECK(of_id->departed);
  CHECK(of_id->member.address == "carl@c.example");
  CHECK_FALSE(first.read([&](const Read& r) { return dir::score_of(r, test, "carl@new.example"); }));

  CHECK(first.apply(dir::MoveMember{test, "carl@new.example", "bert@b.example"}).error().kind ==
        Error::Kind::conflict);
  CHECK(first.apply(dir::MoveMember{test, "zed@z.example", "x@b.example"}).error().kind ==
        Error::Kind::not_found);
  CHECK(first.apply(dir::MoveMember{test, "carl@new.example", "no address"}).error().kind ==
        Error::Kind::invalid);
  CHECK(find(first, "carl@new.example"));
  REQUIRE(first.apply(dir::MoveMember{test, "carl@new.example", "carl@new.example"}));  // only its case
  CHECK(find(first, "carl@new.example")->address == "carl@new.example");
  REQUIRE(second.follow(first, 3));
  check_equal(first, second);
}

TEST_CASE("a follower has the same scores, probes, and members that they disabled or removed") {
  Place first, second;
  const auto test = first.create("test");
  REQUIRE(first.apply(dir::Subscribe{test, {member("bert@b.example"), member("carl@c.example")}}));
  // Carl: probed, and disabled by the bounce of the probe. Bert: removed at once.
  dir::ScoreMember failure;
  failure.list = test;
  failure.address = "carl@c.example";
  for (int day = 0; day < 5; ++day) {
    failure.failure = {first.at + std::chrono::hours(24 * day), false, "gone"};
    REQUIRE(first.apply(failure));
  }
  const auto probed = first.read([&](const Read& r) { return dir::score_of(r, test, "carl@c.example"); });
  REQUIRE(second.follow(first, 3));
  check_equal(first, second);
  failure.what = dir::ScoreMember::What::probe;
  failure.token = probed->token;
  CHECK(first.apply(failure)->scored->act == bounce::Act::disable);
  REQUIRE(first.apply(
      dir::SetList{test, {{"bounce_warnings", "0"}, {"bounce_threshold", "1"}, {"bounce_probe", "no"}}}));
  failure.what = dir::ScoreMember::What::failure;
  failure.address = "bert@b.example";
  CHECK(first.apply(failure)->scored->act == bounce::Act::remove);
  REQUIRE(second.follow(first, 3));
  check_equal(first, second);
  REQUIRE(first.apply(dir::UndoBounces{test, {}, "gone", {}}));
  REQUIRE(second.follow(first, 3));
  check_equal(first, second);
}

TEST_CASE(
    "follow: a change twice is passed over; one that is missing, or a directory that differs, is named") {
  Place first, second;
  const auto list = first.create("test");
  REQUIRE(first.apply(dir::Subscribe{list, {member("anne@a.example")}}));
  const auto log = first.read([](const Read& r) { return dir::changes(r, 0, 100); });
  REQUIRE(log->size() == 2);
  CHECK(second.follow((*log)[1]).error().kind == Error::Kind::conflict);
  CHECK(second.follow((*log)[0]));
  CHECK(second.follow((*log)[0]));
  second.write([&](Write& w) { return dir::add_member(w, list, member("anne@a.example"), now); });
  const auto differs = second.follow((*log)[1]);
  REQUIRE_FALSE(differs);
  CHECK(differs.error().text.find("the directories differ") != std::string::npos);
}

TEST_CASE(
    "changes are trimmed with the answers of their operations; who is behind the low-water mark is told") {
  Place place, late;
  const auto list = place.create("test");
  REQUIRE(place.apply(dir::Subscribe{list, {member("anne@a.example")}}, "old"));
  place.at += std::chrono::hours(24);
  REQUIRE(place.apply(dir::Subscribe{list, {member("bert@b.example")}}, "new"));
  CHECK(place.read([](const Read& r) { return dir::low_water(r); }) == 1);
  CHECK(place.trim(now + std::chrono::hours(1)));
  CHECK(place.rows(Table::change).size() == 1);
  CHECK(place.rows(Table::applied).size() == 1);
  CHECK(place.read([](const Read& r) { return dir::low_water(r); }) == 3);
  CHECK(late.follow(place, 10).error().kind == Error::Kind::conflict);
  CHECK(place.trim(place.at + std::chrono::hours(1)));  // the last one stays
  CHECK(place.read([](const Read& r) { return dir::last_change(r); }) == 3);
}

TEST_CASE("rows of `change` of a version that logged no values are no use to a follower, and go") {
  Place place, late;
  place.write([](Write& w) {
    for (std::uint64_t i = 1; i <= 5; ++i) {
      Packer old;
      old.u8(4).num(1).str("anne@a.example");
      w.put(Table::change, Key().u64(i), old.bytes());
    }
    return 0;
  });
  CHECK(late.follow(place, 10).error().kind == Error::Kind::conflict);
  const auto list = place.create("test");
  CHECK(place.read([](const Read& r) { return dir::low_water(r); }) == 6);
  CHECK(late.follow(place, 10).error().kind == Error::Kind::conflict);
  CHECK(place.read([](const Read& r) { return dir::changes(r, 5, 10); })->size() == 1);
  CHECK(place.trim(now - std::chrono::hours(1)));
  CHECK(place.rows(Table::change).size() == 1);
  REQUIRE(place.apply(dir::RemoveList{list}));
}

TEST_CASE(
    "an import that was cut off takes nothing more, swept or not: a follower has swept at another time") {
  Place place;
  const auto list = place.create("test");
  const auto begun = place.apply(dir::BeginImport{list});
  REQUIRE(begun);
  REQUIRE(place.apply(dir::CutImport{begun->import}));
  for (const bool swept : {false, true}) {
    CAPTURE(swept);
    if (swept) place.sweep_all();
    const auto rows = place.apply(dir::ImportRows{begun->import, {member("anne@a.example")}});
    REQUIRE_FALSE(rows);
    CHECK(rows.error().kind == Error::Kind::not_found);
    CHECK_FALSE(place.apply(dir::FinishImport{begun->import}));
  }
}

TEST_CASE("property: whatever is done to a directory, its follower's is equal") {
  CHECK(rc::check([] {
    Place first, second(1);
    std::vector<dir::ListId> lists{first.create("zero")};
    std::optional<dir::ImportId> import;
    const auto steps = *rc::gen::container<std::vector<std::tuple<int, int, int>>>(
        rc::gen::tuple(rc::gen::inRange(0, 14), rc::gen::inRange(0, 6), rc::gen::inRange(0, 3)));
    for (const auto& [what, which, where] : steps) {
      const std::string address = "M" + std::to_string(which) + "@d" + std::to_string(which % 2) + ".example";
      const std::string key = "m" + address.substr(1);
      const dir::ListId list = lists[static_cast<std::size_t>(where) % lists.size()];
      switch (what) {
        case 0:
          if (const auto made = first.apply(dir::CreateList{
                  "l" + std::to_string(lists.size()), "lists.example", {{"owner", "o@x.example"}}}))
            lists.push_back(made->list.id);
          break;
        case 1:
          (void)first.apply(dir::SetList{list, {{"description", address}}});
          break;
        case 2:
          if (which == 0) (void)first.apply(dir::RemoveList{list});
          break;
        case 3:
        case 4:
          (void)first.apply(dir::Subscribe{list, {member(address), member("both@d0.example")}});
          break;
        case 5:
          (void)first.apply(dir::Unsubscribe{list, {key}});
          break;
        case 6:
          (void)first.apply(dir::SetMember{list, key, address, {}});
          break;
        case 7:
          if (const auto begun = first.apply(dir::BeginImport{list})) import = begun->import;
          break;
        case 8:
          if (import) (void)first.apply(dir::ImportRows{*import, {member(address), member("im" + address)}});
          break;
        case 9:
          if (import && which < 4)
            (void)first.apply(dir::FinishImport{*import});
          else if (import)
            (void)first.apply(dir::CutImport{*import});
          break;
        case 10:
          (which < 3 ? first : second).sweep_all();
          if (which % 2 == 0) RC_ASSERT(bool(second.follow(first, 2)));
          break;
        case 11: {
          dir::Ask ask;
          ask.list = list;
          ask.what = which % 2 == 0 ? list::What::join : list::What::leave;
          ask.address = address;
          (void)first.apply(std::move(ask));
          break;
        }
        case 12: {
          std::string after, token;
          first.read([&](const Read& r) {
            return dir::visit_asked(r, after, 100, [&](const dir::AskedRow& row) {
              token = row.asked.token;
              return token.empty();
            });
          });
          (void)first.apply(dir::Redeem{.token = token, .refuse = which == 0});
          break;
        }
        case 13:
          if (which == 0) (void)first.apply(dir::ForgetAsked{TimePoint(Duration(1'900'000'000'000)), 3});
          break;
      }
    }
    RC_ASSERT(bool(second.follow(first, 100)));
    first.sweep_all();
    second.sweep_all();
    for (const Table table : copied) RC_ASSERT(first.rows(table) == second.rows(table));
    RC_ASSERT(second.check() == std::vector<std::string>{});
  }));
}
