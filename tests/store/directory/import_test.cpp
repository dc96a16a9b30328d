#include "store/directory/import.hpp"

#include <algorithm>
#include <chrono>
#include <map>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "store/directory/apply.hpp"
#include "tests/store/directory/directory_folder.hpp"

using namespace spoold;
using namespace spoold::store;
namespace dir = spoold::store::directory;

namespace {

class Place : public DirectoryFolder {
 public:
  void crash() {  // what was not committed is gone; the start recovers
    reopen();
    write([](Write& w) {
      dir::recover(w);
      return 0;
    });
  }
  /// A job like the writer's: committed when it succeeds, else aborted. Fails from the `left`-th on; only what undoes an
  /// import does not.
  dir::Submit run(int left = 1 << 30) {
    return [this, left](const dir::Operation& operation) mutable -> Result<dir::Applied> {
      if (!std::holds_alternative<dir::CutImport>(operation.change) && left-- <= 0)
        return fail(Error::Kind::full, "the disk is full");
      auto txn = env_->begin(now);
      auto done = dir::apply(*txn, operation);
      if (done && env_->commit(std::move(txn)) != 0) return fail(Error::Kind::io, "commit");
      return done;
    };
  }
  Result<dir::Imported> import(const std::vector<std::string>& addresses, int left = 1 << 30) {
    return dir::import_members(run(left), list, members(addresses), "test");
  }
  static std::vector<list::Member> members(const std::vector<std::string>& addresses) {
    std::vector<list::Member> out;
    for (const auto& address : addresses)
      out.push_back({0, address, "", list::Delivery::regular, TimePoint{}});
    return out;
  }
  bool add(const std::string& address) {
    list::Member member;
    member.address = address;
    return write([&](Write& w) { return dir::add_member(w, list, member, now); }).has_value();
  }
  std::vector<std::string> roster() {
    return read([&](const Read& r) {
      std::vector<std::string> out;
      dir::visit_members(r, list, {}, [&](const dir::MemberView& view) {
        out.emplace_back(view.address);
        return true;
      });
      return out;
    });
  }
  std::uint64_t rows() {
    return read([](const Read& r) { return r.entries(Table::member); });
  }
  void sweep_all() {
    while (write([](Write& w) { return dir::sweep(w); })) {
    }
  }
  list::ListId list = make("test");
};

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("import: all become members at once, sorted, each once") {
  Place place;
  REQUIRE(place.add("bert@b.example"));
  auto done = place.import({"carl@c.example", "Anna@a.example", "BERT@b.example", "anna@a.example"});
  REQUIRE(done);
  CHECK(done->added == 2);
  CHECK(done->already == 1);
  CHECK(place.roster() == Strings{"Anna@a.example", "bert@b.example", "carl@c.example"});
  CHECK(place.read([&](const Read& r) { return dir::list(r, place.list)->members; }) == 3);
  CHECK(place.check().empty());
}

TEST_CASE("import: a bad address imports nothing") {
  Place place;
  CHECK(place.import({"anna@a.example", "nobody"}).error().kind == Error::Kind::invalid);
  CHECK(place.rows() == 0);
  CHECK(place.check().empty());
}

TEST_CASE("import: invisible until its last transaction, whatever asks") {
  Place place;
  auto incoming = dir::sorted(Place::members({"anna@a.example", "bert@b.example"}));
  auto import = place.write([&](Write& w) { return dir::begin_import(w, place.list); });
  place.write([&](Write& w) { return dir::import_slice(w, *import, *incoming, now); });
  CHECK(place.rows() == 2);
  CHECK(place.roster().empty());
  place.read([&](const Read& r) {
    CHECK(!dir::find_member(r, place.list, "anna@a.example"));
    CHECK(!dir::member_by_id(r, 1));
    CHECK(dir::lists_of_member(r, "anna@a.example").empty());
    CHECK(dir::members(r, place.list, {}, 10).members.empty());
    return 0;
  });
  CHECK(!place.write([&](Write& w) { return dir::remove_member(w, place.list, "anna@a.example", now); }));
  CHECK(place.write([&](Write& w) { return dir::finish_import(w, *import); }) == 2u);
  CHECK(place.roster() == Strings{"anna@a.example", "bert@b.example"});
  CHECK(place.check().empty());
}

TEST_CASE("import: a slice written twice counts once") {
  Place place;
  auto incoming = dir::sorted(Place::members({"anna@a.example", "bert@b.example"}));
  auto import = place.write([&](Write& w) { return dir::begin_import(w, place.list); });
  for (int i = 0; i < 2; ++i)
    place.write([&](Write& w) { return dir::import_slice(w, *import, *incoming, now); });
  CHECK(place.write([&](Write& w) { return dir::finish_import(w, *import); }) == 2u);
  CHECK(place.check().empty());
}

TEST_CASE(
    "import: somebody who joins meanwhile is a member at once, and still is when the import is cut off") {
  for (bool finish : {true, false}) {
    Place place;
    auto incoming = dir::sorted(Place::members({"anna@a.example", "bert@b.example", "carl@c.example"}));
    auto import = place.write([&](Write& w) { return dir::begin_import(w, place.list); });
    place.write([&](Write& w) { return dir::import_slice(w, *import, std::span(*incoming).first(2), now); });
    CHECK(place.add("Bert@b.example"));
    CHECK(place.roster() == Strings{"Bert@b.example"});
    place.write(
        [&](Write& w) { return dir::import_slice(w, *import, std::span(*incoming).subspan(2), now); });
    if (finish) {
      CHECK(place.write([&](Write& w) { return dir::finish_import(w, *import); }) == 2u);
      CHECK(place.roster() == Strings{"anna@a.example", "Bert@b.example", "carl@c.example"});
    } else {
      place.crash();
      CHECK(place.roster() == Strings{"Bert@b.example"});
      place.sweep_all();
      CHECK(place.roster() == Strings{"Bert@b.example"});
      CHECK(place.rows() == 1);
    }
    CHECK(place.check().empty());
  }
}

TEST_CASE("import: two into one list at once: the second is told so; into two lists: both") {
  Place place;
  auto first = place.write([&](Write& w) { return dir::begin_import(w, place.list); });
  REQUIRE(first);
  CHECK(place.import({"anna@a.example"}).error().kind == Error::Kind::conflict);
  list::Settings settings;
  settings.owners = {"o@x.example"};
  auto other =
      place.write([&](Write& w) { return dir::create_list(w, "other", "lists.example", settings, now); });
  CHECK(dir::import_members(place.run(), other->id, Place::members({"anna@a.example"}), "test")->added == 1);
  auto incoming = dir::sorted(Place::members({"anna@a.example"}));
  place.write([&](Write& w) { return dir::import_slice(w, *first, *incoming, now); });
  CHECK(place.write([&](Write& w) { return dir::finish_import(w, *first); }) == 1u);
  CHECK(place.read([&](const Read& r) { return dir::lists_of_member(r, "anna@a.example").size(); }) == 2);
  CHECK(place.check().empty());
}

TEST_CASE("import: cut off after each of its steps, by a crash or by a full disk: nothing or all") {
  Strings addresses;
  for (std::size_t i = 0; i < 2 * dir::slice_rows + 10; ++i)
    addresses.push_back("m" + std::to_string(i) + "@a.example");
  for (int steps = 0; steps <= 6; ++steps) {  // begin, three slices, finish: five succeed
    CAPTURE(steps);
    Place place;
    REQUIRE(place.add("m5@a.example"));
    auto done = place.import(addresses, steps);
    CHECK(done.has_value() == (steps >= 5));
    if (!done) CHECK(done.error().kind == Error::Kind::full);
    CHECK(place.roster().size() == (done ? addresses.size() : 1));
    place.crash();
    CHECK(place.roster().size() == (done ? addresses.size() : 1));
    // a second try does not wait for the sweep
    auto again = place.import(addresses);
    REQUIRE(again);
    CHECK(again->added + again->already == addresses.size());
    place.sweep_all();
    CHECK(place.roster().size() == addresses.size());
    CHECK(place.rows() == addresses.size());
    CHECK(place.check().empty());
  }
}

TEST_CASE("import: the list is removed in the middle") {
  Place place;
  auto incoming = dir::sorted(Place::members({"anna@a.example", "bert@b.example"}));
  auto import = place.write([&](Write& w) { return dir::begin_import(w, place.list); });
  place.write([&](Write& w) { return dir::import_slice(w, *import, std::span(*incoming).first(1), now); });
  CHECK(place.write([&](Write& w) { return dir::remove_list(w, place.list); }));
  CHECK(place
            .write(
                [&](Write& w) { return dir::import_slice(w, *import, std::span(*incoming).subspan(1), now); })
            .error()
            .kind == Error::Kind::not_found);
  CHECK(place.write([&](Write& w) { return dir::finish_import(w, *import); }).error().kind ==
        Error::Kind::not_found);
  place.sweep_all();
  CHECK(place.rows() == 0);
  CHECK(place.check().empty());
}

TEST_CASE("import: property: against a map, with single changes, crashes and cut-off imports in between") {
  CHECK(rc::check([] {
    Place place;
    std::map<std::string, bool> model;  // address -> is a member
    std::uint64_t import = 0;           // its id; 0: none is open
    std::map<std::string, bool> pending;
    const auto steps = *rc::gen::container<std::vector<std::pair<int, int>>>(
        rc::gen::pair(rc::gen::inRange(0, 8), rc::gen::inRange(0, 6)));
    for (auto [what, which] : steps) {
      const std::string address =
          "m" + std::to_string(which) + "@" + std::string(1, static_cast<char>('a' + which % 3));
      switch (what) {
        case 0:
        case 1:
          RC_ASSERT(place.add(address) == !model[address]);
          model[address] = true;
          pending.erase(address);
          break;
        case 2:
          RC_ASSERT(place.write([&](Write& w) { return dir::remove_member(w, place.list, address, now); })
                        .has_value() == model[address]);
          model[address] = false;
          break;
        case 3: {
          auto begun = place.write([&](Write& w) { return dir::begin_import(w, place.list); });
          RC_ASSERT(begun.has_value() == (import == 0));
          if (begun) import = *begun;
          break;
        }
        case 4:
          if (import != 0) {
            auto incoming = dir::sorted(Place::members({address}));
            auto already =
                place.write([&](Write& w) { return dir::import_slice(w, import, *incoming, now); });
            RC_ASSERT(already == (model[address] ? 1u : 0u));
            if (!model[address]) pending[address] = true;
          }
          break;
        case 5:
          if (import != 0) {
            RC_ASSERT(place.write([&](Write& w) { return dir::finish_import(w, import); }) == pending.size());
            for (auto& [who, yes] : pending) model[who] = yes;
            pending.clear();
            import = 0;
          }
          break;
        case 6:
          place.crash();
          pending.clear();
          import = 0;
          break;
        case 7:
          place.write([](Write& w) { return dir::sweep(w); });
          break;
      }
      Strings expected;
      for (const auto& [who, yes] : model)
        if (yes) expected.push_back(who);
      Strings got = place.roster();
      std::sort(got.begin(), got.end());
      RC_ASSERT(got == expected);
      RC_ASSERT(place.check() == Strings{});
    }
  }));
}

TEST_CASE("import: a list's own addresses are refused by name, and nobody becomes a member") {
  Place place;
  const auto own = place.read([&](const Read& r) { return dir::list(r, place.list)->address(); });
  const auto at = own.find('@');
  for (const std::string& address : {own, own.substr(0, at) + "-bounces" + own.substr(at)}) {
    const auto refused = place.import({"anna@a.example", address, "zoe@z.example"});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::invalid);
    CHECK(refused.error().text.find(address) != std::string::npos);
    CHECK(place.roster().empty());
  }
  CHECK(place.import({"anna@a.example"}));
}

TEST_CASE("import: 100,000 members in seconds, no transaction longer than a slice") {
  Place place;
  Strings addresses;
  for (int i = 0; i < 100000; ++i)
    addresses.push_back("member" + std::to_string(i * 7919 % 100000) + "@d" + std::to_string(i % 1000) +
                        ".example");
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  auto done = place.import(addresses);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
  REQUIRE(done);
  CHECK(done->added == 100000);
  MESSAGE("100,000 members imported in " << took.count() << " ms");
#ifdef NDEBUG
  CHECK(took.count() < 3000);
#endif
  const auto read_begin = Clock::now();
  CHECK(place.roster().size() == 100000);
  MESSAGE("visited in "
          << std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - read_begin).count()
          << " ms");
}
