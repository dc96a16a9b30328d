#include "store/directory/operations.hpp"

#include <doctest/doctest.h>

#include "tests/store/directory/directory_folder.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

class Place : public DirectoryFolder {
 public:
  Result<list::Member> add(list::ListId list, std::string address) {
    list::Member member;
    member.address = std::move(address);
    return write([&](Write& w) { return directory::add_member(w, list, member, now); });
  }
  std::vector<std::string> roster(list::ListId list, std::size_t page = 2) {
    return read([&](const Read& r) {
      std::vector<std::string> out;
      std::string after;
      do {
        auto part = directory::members(r, list, after, page);
        for (const auto& member : part.members) out.push_back(member.address);
        after = part.after;
      } while (!after.empty());
      return out;
    });
  }
};

}  // namespace

TEST_CASE("directory: a list is found by name and id, its settings come back whole") {
  Place place;
  list::Settings settings;
  settings.description = "All about t\xc3\xa9sts";
  settings.owners = {"anna@a.example", "\"two words\"@b.example"};
  settings.verp = list::Verp::every;
  settings.verp_every = 3;
  settings.verp_format = list::VerpFormat::opaque;
  settings.personalize = list::Personalize::individual;
  settings.moderation.nonmembers = list::Action::accept;
  settings.max_size = 40 << 10;
  settings.own_posts = false;
  settings.avoid_duplicates = true;
  auto made = place.write(
      [&](Write& w) { return directory::create_list(w, "Test", "Lists.Example", settings, now); });
  REQUIRE(made);
  place.reopen();
  auto found = place.read([](const Read& r) { return directory::find_list(r, "test", "lists.example"); });
  REQUIRE(found);
  CHECK(found->id == made->id);
  CHECK(found->address() == "test@lists.example");
  CHECK(found->created == now);
  CHECK(found->settings.description == settings.description);
  CHECK(found->settings.owners == settings.owners);
  CHECK(found->settings.verp == settings.verp);
  CHECK(found->settings.verp_every == 3);
  CHECK(found->settings.verp_format == settings.verp_format);
  CHECK(found->settings.personalize == settings.personalize);
  CHECK(found->settings.moderation.nonmembers == settings.moderation.nonmembers);
  CHECK(found->settings.max_size == settings.max_size);
  CHECK(!found->settings.own_posts);
  CHECK(found->settings.avoid_duplicates);
  place.read([&](const Read& r) {
    CHECK(directory::list(r, made->id)->local == "test");
    CHECK(!directory::list(r, made->id + 1));
    CHECK(directory::is_list_domain(r, "lists.example"));
    CHECK(!directory::is_list_domain(r, "lists.exampl"));
    CHECK(!directory::is_list_domain(r, "lists.example.org"));
    CHECK(!directory::find_list(r, "tes", "lists.example"));
    CHECK(!directory::find_list(r, std::string(1000, 'x'), std::string(1000, 'y')));
    return 0;
  });
}

TEST_CASE("directory: lists in pages, of a domain; ids never again") {
  Place place;
  auto a = place.make("a"), b = place.make("b", "other.example"), c = place.make("c");
  CHECK(a < b);
  CHECK(b < c);
  place.read([&](const Read& r) {
    CHECK(directory::lists(r, 0, 2).size() == 2);
    CHECK(directory::lists(r, b, 10).size() == 1);
    CHECK(directory::lists_of_domain(r, "lists.example").size() == 2);
    return 0;
  });
  CHECK(place.write([&](Write& w) { return directory::remove_list(w, c); }));
  place.reopen();
  CHECK(place.make("c") > c);
  CHECK(place.check().empty());
}

TEST_CASE("directory: what is refused") {
  Place place;
  auto id = place.make("test");
  list::Settings none, good;
  good.owners = {"o@x.example"};
  place.write([&](Write& w) {
    CHECK(directory::create_list(w, "TEST", "lists.example", good, now).error().kind ==
          Error::Kind::conflict);
    CHECK(directory::create_list(w, "x", "lists.example", none, now).error().text ==
          "a list needs at least one owner");
    CHECK(directory::create_list(w, "x-owner", "lists.example", good, now).error().kind ==
          Error::Kind::invalid);
    CHECK(directory::create_list(w, "x", "lists_example", good, now).error().kind == Error::Kind::invalid);
    CHECK(directory::set_list(w, id, {{"owner", "nobody"}}).error().kind == Error::Kind::invalid);
    CHECK(directory::set_list(w, 99, {}).error().kind == Error::Kind::not_found);
    CHECK(directory::remove_list(w, 99).error().kind == Error::Kind::not_found);
    return 0;
  });
  CHECK(place.add(id, "no address").error().kind == Error::Kind::invalid);
  list::Member two_lines;
  two_lines.address = "a@x.example";
  two_lines.name = "two\nlines";
  CHECK(place.write([&](Write& w) { return directory::add_member(w, id, two_lines, now); }).error().kind ==
        Error::Kind::invalid);
  CHECK(place.add(99, "a@x.example").error().kind == Error::Kind::not_found);
}

TEST_CASE("directory: a list is no member of itself, and its other addresses are no members of any list") {
  Place place;
  const auto test = place.make("test"), other = place.make("other");
  for (const char* own : {"Test@lists.example", "test-bounces@lists.example", "test-owner@Lists.Example",
                          "test-bounces+anne=far.example@lists.example", "bounces+x@lists.example",
                          "other-request@lists.example"}) {
    CAPTURE(own);
    CHECK_FALSE(place.add(test, own));
  }
  CHECK(place.add(test, "other@lists.example"));  // a list of lists
  CHECK(place.add(test, "nolist-owner@lists.example"));
  CHECK(place.add(test, "test-owner@else.example"));
  CHECK_FALSE(place.add(other, "test@lists.example"));  // in a circle
  CHECK(place.read(
            [&](const Read& r) { return directory::list_ids_of_domain(r, "lists.example", 1).size(); }) == 1);
  CHECK(place.check().empty());
}

TEST_CASE("directory: members come in domain order, in pages of any size") {
  Place place;
  auto id = place.make("test"), other = place.make("other");
  for (const char* address : {"z@a.example", "b@b.example", "A@b.example", "x@a.example.org", "y@a",
                              "\"a@z\"@b.example", "m@[192.0.2.1]", "x@a-b.example"})
    REQUIRE(place.add(id, address));
  REQUIRE(place.add(other, "a@a.example"));
  const std::vector<std::string> order = {
      "m@[192.0.2.1]",     "y@a",         "x@a-b.example", "z@a.example", "x@a.example.org",
      "\"a@z\"@b.example", "A@b.example", "b@b.example"};
  for (std::size_t page : {1u, 2u, 3u, 8u, 100u}) CHECK(place.roster(id, page) == order);
  CHECK(place.read([&](const Read& r) { return directory::list(r, id)->members; }) == 8);
  CHECK(place.check().empty());
}

TEST_CASE("directory: a member is found by any case, by id, by address in all lists") {
  Place place;
  auto id = place.make("test"), other = place.make("other");
  auto added = place.add(id, "Mixed.Case@X.example");
  REQUIRE(added);
  CHECK(added->address == "Mixed.Case@x.example");
  CHECK(added->joined == now);
  CHECK(place.add(id, "mixed.case@x.example").error().kind == Error::Kind::conflict);
  REQUIRE(place.add(other, "mixed.case@x.example"));
  place.read([&](const Read& r) {
    CHECK(directory::find_member(r, id, "mixed.case@x.example")->address == "Mixed.Case@x.example");
    CHECK(!directory::find_member(r, id, "mixed.case@x.exampl"));
    CHECK(!directory::find_member(r, id, ""));
    auto located = directory::member_by_id(r, added->id);
    REQUIRE(located);
    CHECK(located->list == id);
    CHECK(!located->departed);
    CHECK(located->member.address == "Mixed.Case@x.example");
    CHECK(!directory::member_by_id(r, added->id + 100));
    CHECK(!directory::member_by_id(r, ~0ull));
    CHECK(directory::lists_of_member(r, "mixed.case@x.example") == std::vector<list::ListId>{id, other});
    CHECK(directory::lists_of_member(r, "case@x.example").empty());
    return 0;
  });
}

TEST_CASE(
    "directory: set and remove; a departed member's id still names the address, and is not given again") {
  Place place;
  auto id = place.make("test");
  auto added = place.add(id, "Anna@a.example");
  REQUIRE(added);
  list::Member change = *added;
  change.name = "Anna";
  change.delivery = list::Delivery::nomail_by_user;
  CHECK(place.write([&](Write& w) { return directory::set_member(w, id, change, now); })->id == added->id);
  CHECK(
      place.read([&](const Read& r) { return directory::find_member(r, id, "anna@a.example"); })->delivery ==
      list::Delivery::nomail_by_user);
  CHECK(place.write([&](Write& w) { return directory::remove_member(w, id, "anna@a.example", now); })->id ==
        added->id);
  CHECK(place.write([&](Write& w) { return directory::remove_member(w, id, "anna@a.example", now); })
            .error()
            .kind == Error::Kind::not_found);
  CHECK(place.write([&](Write& w) { return directory::set_member(w, id, change, now); }).error().kind ==
        Error::Kind::not_found);
  auto departed = place.read([&](const Read& r) { return directory::member_by_id(r, added->id); });
  REQUIRE(departed);
  CHECK(departed->departed);
  CHECK(departed->member.address == "anna@a.example");
  auto again = place.add(id, "anna@a.example");
  CHECK(again->id > added->id);
  CHECK(place.read([&](const Read& r) { return directory::member_by_id(r, added->id); })->departed);
  CHECK(place.check().empty());
}

TEST_CASE("directory: the roster version moves with every change, post numbers are given once") {
  Place place;
  auto id = place.make("test");
  auto version = [&] {
    return place.read([&](const Read& r) { return directory::list(r, id)->roster_version; });
  };
  auto v0 = version();
  auto anna = place.add(id, "anna@a.example");
  auto v1 = version();
  CHECK(v1 > v0);
  place.write([&](Write& w) { return directory::set_member(w, id, *anna, now); });
  auto v2 = version();
  CHECK(v2 > v1);
  place.write([&](Write& w) { return directory::remove_member(w, id, "anna@a.example", now); });
  CHECK(version() > v2);
}

TEST_CASE("directory: a removed list is gone at once, its rows in slices, its name free again") {
  Place place;
  auto id = place.make("test");
  auto keep = place.make("keep");
  list::MemberId anna = 0;
  for (int i = 0; i < 50; ++i) anna = place.add(id, "m" + std::to_string(i) + "@a.example")->id;
  REQUIRE(place.add(keep, "m1@a.example"));
  CHECK(place.write([&](Write& w) { return directory::remove_list(w, id); }));
  CHECK(place.roster(id).empty());
  place.read([&](const Read& r) {
    CHECK(!directory::find_member(r, id, "m1@a.example"));
    CHECK(!directory::member_by_id(r, anna));
    CHECK(directory::lists_of_member(r, "m1@a.example") == std::vector<list::ListId>{keep});
    CHECK(directory::has_leftovers(r));
    return 0;
  });
  auto fresh = place.make("test");
  CHECK(place.roster(fresh).empty());
  while (place.write([](Write& w) { return directory::sweep(w); })) {
  }
  CHECK(place.check().empty());
  CHECK(place.read([](const Read& r) { return r.entries(Table::member); }) == 1);
  CHECK(place.roster(keep) == std::vector<std::string>{"m1@a.example"});
}
