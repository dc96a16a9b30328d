// What is asked by mail: one commit each with the member's row; a token is redeemed once.
#include "store/directory/asked.hpp"

#include <doctest/doctest.h>

#include "store/directory/apply.hpp"
#include "tests/store/lists.hpp"

using namespace spoold;
using namespace spoold::store;
namespace dir = spoold::store::directory;
using list::Answer;
using list::What;

namespace {

dir::Applied done(Opened& s, dir::Change change) {
  auto applied = await<dir::Applied>([&](auto cb) {
    s.store->change({dir::new_operation_id(), "test", std::move(change)}, cb);
  });
  REQUIRE_MESSAGE(applied, (applied ? std::string() : applied.error().text));
  return *applied;
}

Answer ask(Opened& s, list::ListId list, What what, const std::string& address,
           std::optional<list::Delivery> delivery = {}) {
  dir::Ask wish;
  wish.list = list;
  wish.what = what;
  wish.address = address;
  wish.delivery = delivery;
  const auto applied = done(s, std::move(wish));
  return applied.asked ? applied.asked->answer : Answer::silence;
}

std::string token_of(Opened& s, list::ListId list, const std::string& key, What what) {
  const auto asked = dir::asked_of(Read(*s.store), list, key, what);
  REQUIRE(asked);
  return asked->token;
}

bool is_member(Opened& s, list::ListId list, const std::string& key) {
  return dir::find_member(Read(*s.store), list, key).has_value();
}

struct Started : Folder, Opened {
  Started() : Opened(path()) { REQUIRE(open()); }
};

}  // namespace

TEST_CASE("a token makes a member once, and a restart does not forget it") {
  Started s;
  const auto list = make_list(s, "test", 0);
  CHECK(ask(s, list.id, What::join, "Anna@X.example") == Answer::confirm);
  CHECK(ask(s, list.id, What::join, "anna@x.example") == Answer::silence);
  const std::string token = token_of(s, list.id, "anna@x.example", What::join);
  CHECK(token.size() == 32);
  s.reopen();
  CHECK(dir::asked_by_token(Read(*s.store), token)->address == "anna@x.example");
  CHECK_FALSE(is_member(s, list.id, "anna@x.example"));
  CHECK(done(s, dir::Redeem{.token = token}).asked->answer == Answer::joined);
  CHECK(dir::find_member(Read(*s.store), list.id, "anna@x.example")->address == "Anna@x.example");
  const auto again = await<dir::Applied>([&](auto cb) {
    s.store->change({dir::new_operation_id(), "test", dir::Redeem{.token = token}}, cb);
  });
  REQUIRE_FALSE(again);
  CHECK(again.error().kind == Error::Kind::not_found);
  CHECK(Read(*s.store).entries(Table::asked) == 0);
  CHECK(Read(*s.store).entries(Table::asked_token) == 0);
}

TEST_CASE("a token that is over is worth nothing, and the tick forgets it") {
  Started s;
  const auto list = make_list(s, "test", 0);
  CHECK(ask(s, list.id, What::join, "anna@x.example") == Answer::confirm);
  const std::string token = token_of(s, list.id, "anna@x.example", What::join);
  s.pass(list::token_life - Duration(1));
  REQUIRE(await<void>([&](auto cb) { s.store->tick_scores(s.now(), cb); }));
  CHECK(dir::asked_by_token(Read(*s.store), token));
  s.pass(Duration(1));
  const auto late = await<dir::Applied>([&](auto cb) {
    s.store->change({dir::new_operation_id(), "test", dir::Redeem{.token = token}}, cb);
  });
  CHECK_FALSE(late);
  CHECK_FALSE(is_member(s, list.id, "anna@x.example"));
  REQUIRE(await<void>([&](auto cb) { s.store->tick_scores(s.now(), cb); }));
  CHECK(Read(*s.store).entries(Table::asked) == 0);
  CHECK(Read(*s.store).entries(Table::asked_token) == 0);
}

TEST_CASE("an address gets ten letters from all lists together, then silence for a day") {
  Started s;
  for (int n = 0; n < 12; ++n) {
    const auto list = make_list(s, "list" + std::to_string(n), 0);
    CHECK(ask(s, list.id, What::join, "victim@x.example") == (n < 10 ? Answer::confirm : Answer::silence));
  }
  const auto list = make_list(s, "other", 0);
  CHECK(ask(s, list.id, What::join, "bert@x.example") == Answer::confirm);
}

TEST_CASE("leaving and changing need a token of the member's own; a list that is gone ends its tokens") {
  Started s;
  const auto list = make_list(s, "test", 2);
  const std::string key = "member0@domain0.example";
  CHECK(ask(s, list.id, What::leave, key) == Answer::confirm);
  CHECK(ask(s, list.id, What::set, key, list::Delivery::nomail_by_user) == Answer::confirm);
  CHECK(done(s, dir::Redeem{.token = token_of(s, list.id, key, What::set)}).asked->answer == Answer::changed);
  CHECK(dir::find_member(Read(*s.store), list.id, key)->delivery == list::Delivery::nomail_by_user);
  CHECK(done(s, dir::Redeem{.token = token_of(s, list.id, key, What::leave)}).asked->answer == Answer::left);
  CHECK_FALSE(is_member(s, list.id, key));
  CHECK(ask(s, list.id, What::leave, "member1@domain1.example") == Answer::confirm);
  const std::string token = token_of(s, list.id, "member1@domain1.example", What::leave);
  done(s, dir::RemoveList{list.id});
  CHECK_FALSE(await<dir::Applied>([&](auto cb) {
    s.store->change({dir::new_operation_id(), "test", dir::Redeem{.token = token}}, cb);
  }));
}

TEST_CASE(
    "another change ends the token of the one before; the fourth has no letter before a token was used") {
  Started s;
  const auto list = make_list(s, "test", 1);
  const std::string key = "member0@domain0.example";
  const auto set = [&](list::Delivery delivery) { return ask(s, list.id, What::set, key, delivery); };
  const auto token = [&] { return token_of(s, list.id, key, What::set); };
  CHECK(set(list::Delivery::nomail_by_user) == Answer::confirm);
  CHECK(set(list::Delivery::nomail_by_user) == Answer::silence);
  const std::string first = token();
  s.reopen();
  CHECK(set(list::Delivery::digest) == Answer::confirm);
  CHECK_FALSE(dir::asked_by_token(Read(*s.store), first));
  CHECK(set(list::Delivery::regular) == Answer::confirm);
  const std::string third = token();
  CHECK(set(list::Delivery::digest) == Answer::silence);
  CHECK(token() == third);
  CHECK(done(s, dir::Redeem{.token = third}).asked->answer == Answer::changed);
  CHECK(set(list::Delivery::digest) == Answer::confirm);
}

TEST_CASE("the owners' token is another one; their no is told, the no of a letter that came back is not") {
  Started s;
  const auto list = make_list(s, "test", 0);
  done(s, dir::SetList{list.id, {{"subscribe", "confirm+moderate"}}});
  ask(s, list.id, What::join, "anna@x.example");
  const std::string first = token_of(s, list.id, "anna@x.example", What::join);
  const auto waits = done(s, dir::Redeem{.token = first});
  CHECK(waits.asked->answer == Answer::moderate);
  const std::string second = token_of(s, list.id, "anna@x.example", What::join);
  CHECK(second != first);
  CHECK_FALSE(dir::asked_by_token(Read(*s.store), first));
  const auto refused = done(s, dir::Redeem{.token = second, .refuse = true, .reason = "no"});
  CHECK(refused.asked->answer == Answer::refused);
  CHECK(refused.asked->words == "no");
  CHECK(Read(*s.store).entries(Table::asked) == 0);
  ask(s, list.id, What::join, "bert@x.example");
  const auto lost =
      done(s, dir::Redeem{.token = token_of(s, list.id, "bert@x.example", What::join), .refuse = true});
  CHECK(lost.asked->answer == Answer::silence);
  CHECK(Read(*s.store).entries(Table::asked) == 0);
}
