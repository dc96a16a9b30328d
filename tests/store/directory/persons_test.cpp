// Persons with several addresses, and the preferences of members: rows, operations, what a follower makes of them.
#include "store/directory/persons.hpp"

#include <doctest/doctest.h>

#include "store/directory/apply.hpp"
#include "store/directory/rows.hpp"
#include "tests/store/directory/directory_folder.hpp"

using namespace spoold;
using namespace spoold::store;
namespace dir = spoold::store::directory;

namespace {

struct Persons : DirectoryFolder {
  list::ListId list = make("test");
  void member(const std::string& address, list::ListId of = 0) {
    list::Member added;
    added.address = address;
    REQUIRE(write([&](Write& w) { return dir::add_member(w, of == 0 ? list : of, added, now); }));
  }
  Result<dir::Applied> apply(dir::Change change) {
    return write([&](Write& w) {
      return dir::apply(w, {dir::new_operation_id(), "test", std::move(change)});
    });
  }
  list::Member found(const std::string& key) {
    const auto member = read([&](const Read& r) { return dir::find_member(r, list, key); });
    REQUIRE(member);
    return *member;
  }
  std::string by_any(const std::string& key) {
    const auto member = read([&](const Read& r) { return dir::find_member_or_person(r, list, key); });
    return member ? member->address : std::string();
  }
  /// All rows of both tables of members, and of persons, as a follower must have them.
  std::string rows() {
    return read([](const Read& r) {
      std::string all;
      for (const Table table : {Table::member, Table::person, Table::person_address, Table::asked})
        r.each(table, {}, [&](std::string_view key, std::string_view value) {
          all.append(key).append("=").append(value).append("\n");
          return true;
        });
      return all;
    });
  }
};

}  // namespace

TEST_CASE("persons: another verified address stands for the member, until it is taken away") {
  Persons p;
  p.member("Anna@work.example");
  CHECK(p.by_any("anna@home.example").empty());
  REQUIRE(p.apply(dir::AddAddress{"anna@work.example", "Anna@home.example"}));
  CHECK(p.by_any("anna@home.example") == "Anna@work.example");
  CHECK(p.found("anna@work.example").person != 0);
  REQUIRE(p.apply(dir::AddAddress{"anna@home.example", "anna@later.example", false}));
  CHECK(p.by_any("anna@later.example").empty());  // nobody has shown that it is hers
  dir::SetPerson verify{.address = "anna@later.example"};
  verify.verified = true;
  REQUIRE(p.apply(verify));
  CHECK(p.by_any("anna@later.example") == "Anna@work.example");
  // Who joins later with one of the addresses is known at once.
  p.member("anna@later.example");
  CHECK(p.found("anna@later.example").person == p.found("anna@work.example").person);
  REQUIRE(p.apply(dir::MoveMember{p.list, "anna@work.example", "anna@home.example"}));
  CHECK(p.found("anna@home.example").person != 0);
  CHECK(p.check().empty());
  for (const char* address : {"anna@home.example", "anna@later.example", "anna@work.example"})
    REQUIRE(p.apply(dir::RemoveAddress{address}));
  CHECK(p.found("anna@home.example").person == 0);
  CHECK(p.read([](const Read& r) { return r.entries(Table::person) + r.entries(Table::person_address); }) ==
        0);
  CHECK(p.check().empty());
}

TEST_CASE("persons: an address belongs to one person, who has at most sixteen") {
  Persons p;
  REQUIRE(p.apply(dir::AddAddress{"anna@a.example", "anna@b.example"}));
  REQUIRE(p.apply(dir::AddAddress{"bert@a.example", "bert@b.example"}));
  const auto stolen = p.write([&](Write& w) {
    dir::AddedAddress made;
    return dir::add_address(w, "bert@a.example", "ANNA@b.example", true, now, made);
  });
  REQUIRE_FALSE(stolen);
  CHECK(stolen.error().kind == Error::Kind::conflict);
  for (int n = 2; n < 16; ++n)
    REQUIRE(p.apply(dir::AddAddress{"anna@a.example", "anna@" + std::to_string(n) + ".example"}));
  const auto many = p.write([&](Write& w) {
    dir::AddedAddress made;
    return dir::add_address(w, "anna@a.example", "one@more.example", true, now, made);
  });
  REQUIRE_FALSE(many);
  CHECK(many.error().kind == Error::Kind::full);
  CHECK_FALSE(p.write([&](Write& w) { return dir::remove_address(w, "nobody@x.example"); }));
}

TEST_CASE("preferences: the member's own come before those of his person, a row of before has none") {
  Persons p;
  p.member("anna@work.example");
  const std::string before = p.rows();
  dir::SetMember set{p.list, "anna@work.example", {}, {}};
  set.preferences = {{"own_posts", "false"}, {"vacation", "2026-12-24..2027-01-06"}, {"language", "de"}};
  REQUIRE(p.apply(set));
  REQUIRE(p.apply(dir::AddAddress{"anna@work.example", "anna@home.example"}));
  dir::SetPerson person{.address = "anna@home.example"};
  person.preferences = {{"own_posts", "true"}, {"avoid_duplicates", "true"}, {"language", "fr"}};
  REQUIRE(p.apply(person));
  const auto counts =
      p.read([&](const Read& r) { return dir::preferences_of(r, p.found("anna@work.example")); });
  CHECK(list::texts_of(counts) ==
        list::PreferenceTexts{{"own_posts", "false"},
                              {"avoid_duplicates", "true"},
                              {"language", "de"},
                              {"vacation", "2026-12-24T00:00:00.000Z..2027-01-06T00:00:00.000Z"}});
  set.preferences = {{"own_posts", "default"}, {"vacation", "off"}, {"language", "default"}};
  REQUIRE(p.apply(set));
  const auto later =
      p.read([&](const Read& r) { return dir::preferences_of(r, p.found("anna@work.example")); });
  CHECK(list::texts_of(later) ==
        list::PreferenceTexts{{"own_posts", "true"}, {"avoid_duplicates", "true"}, {"language", "fr"}});
  REQUIRE(p.apply(dir::RemoveAddress{"anna@work.example"}));
  REQUIRE(p.apply(dir::RemoveAddress{"anna@home.example"}));
  CHECK(p.rows() == before);  // a member without preferences has the row that earlier versions wrote
}

TEST_CASE("rows of members that earlier versions wrote are read, and written as they were") {
  Packer oldest, with_action, with_one_copy;
  for (Packer* row : {&oldest, &with_action, &with_one_copy})
    row->num(0).num(7).word(list::Delivery::digest).time(now).str("Anna").str("Anna A.");
  with_action.word(list::Action::hold);
  with_one_copy.u8(0xff).flag(true);
  for (const Packer* row : {&oldest, &with_action, &with_one_copy}) {
    const dir::MemberRow read = dir::unpack_member(row->bytes());
    CHECK(read.id == 7);
    CHECK(read.preferences.empty());
    CHECK(read.person == 0);
    CHECK(dir::pack(read) == row->bytes());
  }
  CHECK(dir::unpack_member(with_action.bytes()).moderation == list::Action::hold);
  CHECK(dir::unpack_member(with_one_copy.bytes()).one_copy);
  // What is new stands behind it, whatever of it is set.
  for (const auto& [name, text] : list::PreferenceTexts{{"own_posts", "true"},
                                                        {"avoid_duplicates", "false"},
                                                        {"language", "de"},
                                                        {"vacation", "2027-01-06"}}) {
    dir::MemberRow row = dir::unpack_member(oldest.bytes());
    REQUIRE(list::set(row.preferences, name, text));
    row.person = 9;
    const std::string packed = dir::pack(row);
    CHECK(packed.starts_with(oldest.bytes()));
    const dir::MemberRow again = dir::unpack_member(packed);
    CHECK(again.preferences == row.preferences);
    CHECK(again.person == 9);
    CHECK_FALSE(again.moderation);
    CHECK_FALSE(again.one_copy);
  }
}

TEST_CASE("persons: a follower has the same rows, and what is repeated answers with all of the member") {
  Persons first, second;
  const auto run = [&](dir::Change change) {
    const dir::Operation operation{dir::new_operation_id(), "test", std::move(change)};
    const auto applied = first.write([&](Write& w) { return dir::apply(w, operation); });
    REQUIRE_MESSAGE(applied, (applied ? std::string() : applied.error().text));
    const auto again = first.write([&](Write& w) { return dir::apply(w, operation); });
    REQUIRE(again);
    CHECK(again->repeated);
    REQUIRE(again->members.size() == applied->members.size());
    for (std::size_t i = 0; i < again->members.size(); ++i) {
      CHECK(again->members[i].preferences == applied->members[i].preferences);
      CHECK(again->members[i].person == applied->members[i].person);
    }
  };
  list::Member carl;
  carl.address = "carl@x.example";
  carl.joined = now;
  carl.preferences.own_posts = false;
  run(dir::Subscribe{first.list, {carl}});
  run(dir::AddAddress{"Carl@x.example", "carl@y.example"});
  run(dir::AddAddress{"carl@y.example", "carl@z.example", false});
  dir::SetMember set{first.list, "carl@x.example", {}, {}};
  set.preferences = {{"avoid_duplicates", "true"}};
  run(set);
  dir::SetPerson person{.address = "carl@z.example"};
  person.name = "Carl";
  person.verified = person.preferred = true;
  person.preferences = {{"vacation", "2027-01-01"}};
  run(person);
  dir::Ask wish;
  wish.list = first.list;
  wish.what = list::What::set;
  wish.address = "carl@y.example";
  wish.preferences = {{"own_posts", "true"}};
  run(wish);
  run(dir::RemoveAddress{"carl@x.example"});
  const auto log = first.read([](const Read& r) { return *dir::changes(r, 0, 100); });
  for (const dir::LoggedChange& change : log) {
    const auto followed = second.write([&](Write& w) { return dir::follow(w, change); });
    REQUIRE_MESSAGE(followed, (followed ? std::string() : followed.error().text));
  }
  CHECK(second.rows() == first.rows());
  CHECK(first.check().empty());
  CHECK(second.check().empty());
}

TEST_CASE("commands by mail work from any address of a person, and are about his membership") {
  Persons p;
  p.member("anna@work.example");
  REQUIRE(p.apply(dir::AddAddress{"anna@work.example", "anna@home.example"}));
  const auto ask = [&](list::What what) {
    dir::Ask wish;
    wish.list = p.list;
    wish.what = what;
    wish.address = "anna@home.example";
    wish.preferences = {{"own_posts", "false"}};
    return *p.apply(wish)->asked;
  };
  CHECK(ask(list::What::join).answer == list::Answer::already_member);
  const auto asked = ask(list::What::set);
  CHECK(asked.answer == list::Answer::confirm);
  CHECK(asked.address == "anna@home.example");  // where the token goes
  CHECK(asked.member_address() == "anna@work.example");
  REQUIRE(p.apply(dir::Redeem{.token = asked.token}));
  CHECK(p.found("anna@work.example").preferences.own_posts == false);
  const auto leave = ask(list::What::leave);
  CHECK(p.apply(dir::Redeem{.token = leave.token})->asked->answer == list::Answer::left);
  CHECK_FALSE(p.read([&](const Read& r) { return dir::find_member(r, p.list, "anna@work.example"); }));
  CHECK(p.read([](const Read& r) { return r.entries(Table::asked_token); }) == 0);
}
