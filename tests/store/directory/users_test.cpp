// Users: what may be one, and operations on them as a follower sees them.
#include "store/directory/users.hpp"

#include <doctest/doctest.h>

#include "store/directory/apply.hpp"
#include "tests/store/directory/directory_folder.hpp"

using namespace spoold;
using namespace spoold::store;
namespace dir = spoold::store::directory;

namespace {

dir::Verifiers verifiers(char of) {
  return {"$y$j9T$x$" + std::string(1, of), "salt", std::string(32, of), std::string(32, 'k'), 4096};
}

dir::User user(std::string name, std::vector<std::string> addresses = {"anne@lists.example"}) {
  return {std::move(name), std::move(addresses), verifiers('a'), {}, {}};
}

struct Place : DirectoryFolder {
  Result<dir::Applied> apply(dir::Change change) {
    auto txn = env_->begin(at);
    auto applied = dir::apply(*txn, {dir::new_operation_id(), "anna", std::move(change)});
    if (applied) REQUIRE(env_->commit(std::move(txn)) == 0);
    return applied;
  }
  void follow(const dir::LoggedChange& change) {
    auto txn = env_->begin(at + std::chrono::hours(5));
    REQUIRE(dir::follow(*txn, change));
    REQUIRE(env_->commit(std::move(txn)) == 0);
  }
  std::optional<dir::User> find(const std::string& name) {
    return read([&](const Read& r) { return dir::find_user(r, name); });
  }
  std::vector<dir::User> all(const std::string& after = {}, std::size_t limit = 100) {
    return read([&](const Read& r) { return dir::users(r, after, limit); });
  }
  TimePoint at = now;
};

}  // namespace

TEST_CASE("users: added, found, set, removed; each with its event, and no secret in it") {
  Place place;
  const auto added = place.apply(dir::AddUser{user("anne", {"anne@lists.example", "Anne@other.example"})});
  REQUIRE(added);
  CHECK(added->events ==
        std::vector<std::string>{"added user anne of anne@lists.example Anne@other.example"});
  auto anne = place.find("anne");
  REQUIRE(anne);
  CHECK(anne->created == now);
  CHECK(anne->addresses.size() == 2);
  CHECK(anne->verifiers == verifiers('a'));
  CHECK_FALSE(place.find("Anne"));
  CHECK_FALSE(place.find("ann"));
  CHECK_FALSE(place.find(std::string(5000, 'a')));

  place.at += std::chrono::hours(1);
  const auto set = place.apply(dir::SetUser{"anne", {}, verifiers('b')});
  REQUIRE(set);
  CHECK(set->events == std::vector<std::string>{"set the password of user anne"});
  anne = place.find("anne");
  CHECK(anne->verifiers == verifiers('b'));
  CHECK(anne->created == now);
  CHECK(anne->password_set == place.at);
  CHECK(anne->addresses.size() == 2);
  REQUIRE(place.apply(dir::SetUser{"anne", std::vector<std::string>{}, {}}));
  CHECK(place.find("anne")->addresses.empty());
  CHECK(place.find("anne")->verifiers == verifiers('b'));

  CHECK(place.apply(dir::AddUser{user("anne")}).error().kind == Error::Kind::conflict);
  CHECK(place.apply(dir::SetUser{"bart", {}, verifiers('b')}).error().kind == Error::Kind::not_found);
  REQUIRE(place.apply(dir::RemoveUser{"anne"}));
  CHECK(place.apply(dir::RemoveUser{"anne"}).error().kind == Error::Kind::not_found);
  CHECK_FALSE(place.find("anne"));
}

TEST_CASE("users: in pages by name") {
  Place place;
  for (const char* name : {"cris", "anne@x.example", "anne", "bart"})
    REQUIRE(place.apply(dir::AddUser{user(name)}));
  CHECK(place.all().size() == 4);
  CHECK(place.all({}, 2).back().name == "anne@x.example");
  CHECK(place.all("anne").front().name == "anne@x.example");
  CHECK(place.all("cris").empty());
}

TEST_CASE("users: what cannot be one is refused, and nothing is written") {
  Place place;
  for (const std::string& name : {std::string(), std::string("Anne"), std::string("an ne"),
                                  std::string("\xc3\xa4"), std::string("a\0b", 3), std::string(255, 'a')})
    CHECK(place.apply(dir::AddUser{user(name)}).error().kind == Error::Kind::invalid);
  CHECK(place.apply(dir::AddUser{user("anne", {"not an address"})}).error().kind == Error::Kind::invalid);
  for (int what = 0; what < 5; ++what) {
    auto broken = user("anne");
    if (what == 0) broken.verifiers.crypt = "plain";
    if (what == 1) broken.verifiers.salt.clear();
    if (what == 2) broken.verifiers.stored_key.pop_back();
    if (what == 3) broken.verifiers.server_key += 'x';
    if (what == 4) broken.verifiers.iterations = 1;
    CHECK(place.apply(dir::AddUser{broken}).error().kind == Error::Kind::invalid);
  }
  CHECK(place.all().empty());
  CHECK(place.read([](const Read& r) { return dir::last_change(r); }) == 0);
}

TEST_CASE("users: the networks that he has logged in from, the last one first, are bounded") {
  Place place;
  REQUIRE(place.apply(dir::AddUser{user("anne")}));
  const auto networks = [&] { return place.find("anne")->networks; };
  CHECK(networks().empty());
  const auto known = place.apply(dir::KnowNetwork{"anne", {"192.0.2.1", 20'000}});
  REQUIRE(known);
  CHECK(known->events.empty());
  for (std::uint32_t i = 2; i <= dir::most_known_networks; ++i)
    REQUIRE(place.apply(dir::KnowNetwork{"anne", {"192.0.2." + std::to_string(i), 20'000}}));
  REQUIRE(place.apply(dir::KnowNetwork{"anne", {"192.0.2.1", 20'001}}));
  REQUIRE(networks().size() == dir::most_known_networks);
  CHECK(networks().front() == dir::KnownNetwork{"192.0.2.1", 20'001});
  CHECK(networks().back() == dir::KnownNetwork{"192.0.2.2", 20'000});
  REQUIRE(place.apply(dir::KnowNetwork{"anne", {"2001:db8:1:2::/64", 20'001}}));
  CHECK(networks().size() == dir::most_known_networks);
  CHECK(networks().back().network == "192.0.2.3");
  // Another password, other addresses: they stay.
  REQUIRE(place.apply(dir::SetUser{"anne", {}, verifiers('b')}));
  CHECK(networks().size() == dir::most_known_networks);
  CHECK(place.apply(dir::KnowNetwork{"bart", {"192.0.2.1", 1}}).error().kind == Error::Kind::not_found);
}

TEST_CASE("users: a row of a version that kept no networks") {
  Place place;
  REQUIRE(place.apply(dir::AddUser{user("anne")}));
  place.write([](Write& w) {
    std::string row(*w.get(Table::user, "anne"));
    row.pop_back();  // the number of networks
    w.put(Table::user, "anne", row);
    return 0;
  });
  REQUIRE(place.find("anne"));
  CHECK(place.find("anne")->networks.empty());
  CHECK(place.find("anne")->created == now);
}

TEST_CASE("users: a follower has the same ones, and check() finds a row that cannot be read") {
  Place first, second;
  REQUIRE(first.apply(dir::AddUser{user("anne")}));
  first.at += std::chrono::hours(1);
  REQUIRE(first.apply(dir::AddUser{user("bart", {})}));
  REQUIRE(first.apply(dir::SetUser{"bart", std::vector<std::string>{"b@x.example"}, verifiers('c')}));
  REQUIRE(first.apply(dir::KnowNetwork{"bart", {"192.0.2.1", 20'000}}));
  REQUIRE(first.apply(dir::RemoveUser{"anne"}));
  const auto log = first.read([](const Read& r) { return dir::changes(r, 0, 100); });
  REQUIRE(log);
  for (const auto& change : *log) second.follow(change);
  CHECK(first.all() == second.all());
  CHECK(second.check().empty());
  second.write([](Write& w) {
    w.put(Table::user, "broken", "\x05");
    return 0;
  });
  CHECK(second.check().size() == 1);
}
