// Who gets a post: whatever the lists and their members are, the pages of a roster say what a plain model says.
#include "store/roster.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>

#include "store/directory/directory.hpp"
#include "store/directory/persons.hpp"
#include "tests/store/directory/directory_folder.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

std::vector<std::string> readers_of(const Read& read, list::ListId list, const Readers& readers) {
  std::vector<std::string> all;
  std::string after;
  do {
    const auto page = directory_roster().page(read, list, readers, after);
    std::size_t from = 0;
    for (const auto& [id, end] : page.members) {
      all.push_back(page.addresses.substr(from, end - from));
      from = end;
    }
    after = page.after;
  } while (!after.empty());
  return all;
}

using Members = std::map<std::pair<std::string, std::string>, list::Member>;  // by domain and local part

}  // namespace

TEST_CASE(
    "roster: included, excluded and one_copy lists: each reader once, in domain order, as a model says") {
  const bool ok = rc::check([] {
    DirectoryFolder folder;
    std::vector<list::ListId> ids;
    std::map<list::ListId, Members> rosters;
    for (const char* name : {"one", "two", "three", "four"}) ids.push_back(folder.make(name));
    folder.write([&](Write& w) {
      for (const list::ListId id : ids) {
        for (int n = *rc::gen::inRange(0, 12); n > 0; --n) {
          list::Member member;
          const std::string local(1, static_cast<char>('a' + *rc::gen::inRange(0, 5))),
              domain = std::string(1, static_cast<char>('x' + *rc::gen::inRange(0, 3))) + ".example";
          member.address = local + "@" + domain;
          member.delivery =
              *rc::gen::element(list::Delivery::regular, list::Delivery::regular, list::Delivery::digest);
          member.one_copy = *rc::gen::arbitrary<bool>();
          if (!rosters[id].emplace(std::pair(domain, local), member).second) continue;
          RC_ASSERT(directory::add_member(w, id, member, now).has_value());
        }
      }
      return true;
    });
    const auto some = [&] {
      std::vector<list::ListId> chosen;
      for (std::size_t i = 1; i < ids.size(); ++i)
        if (*rc::gen::inRange(0, 3) == 0) chosen.push_back(ids[i]);
      return chosen;
    };
    Readers readers;
    readers.include = some();
    readers.without = some();
    readers.one_copy = some();
    if (*rc::gen::arbitrary<bool>()) readers.except = {"a@x.example", "b@y.example"};

    const auto gets = [&](const std::vector<list::ListId>& lists, const auto& place) {
      return std::ranges::any_of(lists, [&](list::ListId id) {
        const auto found = rosters[id].find(place);
        return found != rosters[id].end() && found->second.delivery == list::Delivery::regular;
      });
    };
    Members memberships = rosters[ids[0]];  // of two the first counts
    for (const list::ListId id : readers.include) memberships.insert(rosters[id].begin(), rosters[id].end());
    std::vector<std::string> wanted;
    for (const auto& [place, member] : memberships) {
      if (member.delivery != list::Delivery::regular || gets(readers.without, place) ||
          (member.one_copy && gets(readers.one_copy, place)) ||
          std::ranges::find(readers.except, member.address) != readers.except.end())
        continue;
      wanted.push_back(member.address);
    }
    const auto got = folder.read([&](const Read& read) { return readers_of(read, ids[0], readers); });
    RC_ASSERT(got == wanted);
  });
  CHECK(ok);
}

TEST_CASE("roster: lists among the members of a list: regular ones, of any domain, not those of others") {
  DirectoryFolder folder;
  const auto outer = folder.make("outer"), inner = folder.make("inner"),
             other = folder.make("other", "else.example"), paused = folder.make("paused"),
             stranger = folder.make("stranger");
  const auto add = [&](list::ListId list, const std::string& address,
                       list::Delivery delivery = list::Delivery::regular) {
    list::Member member;
    member.address = address;
    member.delivery = delivery;
    REQUIRE(folder.write([&](Write& w) { return directory::add_member(w, list, member, now); }));
  };
  const auto nested = [&](list::ListId list) {
    return folder.read([&](const Read& read) { return directory::lists_among_members(read, list); });
  };
  CHECK(nested(outer).empty());
  for (const char* address : {"anna@a.example", "zoe@lists.example", "aaron@lists.example", "max@z.example"})
    add(outer, address);
  CHECK(nested(outer).empty());
  add(outer, "Inner@lists.example");
  add(outer, "other@else.example");
  add(outer, "paused@lists.example", list::Delivery::nomail_by_admin);
  add(stranger, "paused@lists.example");
  CHECK(nested(outer) == std::vector<list::ListId>{other, inner});
  CHECK(nested(stranger) == std::vector<list::ListId>{paused});
  CHECK(nested(inner).empty());
}

namespace {

struct Wishing : DirectoryFolder {
  list::ListId list = make("test");
  void add(const std::string& address, list::Preferences preferences = {}) {
    list::Member member;
    member.address = address;
    member.preferences = std::move(preferences);
    REQUIRE(write([&](Write& w) { return directory::add_member(w, list, member, now); }));
  }
  void person(const std::string& of, const std::string& address) {
    REQUIRE(write([&](Write& w) {
      directory::AddedAddress made;
      return directory::add_address(w, of, address, true, now, made);
    }));
  }
  std::vector<std::string> get(const Readers& readers) {
    return read([&](const Read& r) { return readers_of(r, list, readers); });
  }
};
using Who = std::vector<std::string>;

}  // namespace

TEST_CASE("roster: a year with a vacation: delivery ends and comes back by the clock alone") {
  Wishing w;
  list::Preferences away;
  const TimePoint leaves = now + std::chrono::hours(24 * 30), back = leaves + std::chrono::hours(24 * 14);
  away.away_from = leaves;
  away.away_until = back;
  w.add("anna@x.example", away);
  w.add("bert@x.example");
  int days_without = 0;
  for (int day = 0; day < 365; ++day) {
    Readers readers;
    readers.at = now + std::chrono::hours(24 * day);
    const bool gets = w.get(readers).size() == 2;
    CHECK(gets == (readers.at < leaves || readers.at >= back));
    days_without += gets ? 0 : 1;
  }
  CHECK(days_without == 14);
  Readers digests;
  digests.of = Readers::Of::mime_digests;
  digests.at = leaves;
  CHECK(w.get(digests).empty());
}

TEST_CASE("roster: duplicates: what the member says comes before what the list says") {
  Wishing w;
  list::Preferences avoids, wants;
  avoids.avoid_duplicates = true;
  wants.avoid_duplicates = false;
  w.add("anna@x.example", avoids);
  w.add("bert@x.example", wants);
  w.add("carl@x.example");
  w.add("dora@x.example", avoids);
  Readers readers;
  readers.named = std::make_shared<const Who>(Who{"anna@x.example", "bert@x.example", "carl@x.example"});
  CHECK(w.get(readers) == Who{"bert@x.example", "carl@x.example", "dora@x.example"});
  readers.avoid_duplicates = true;
  CHECK(w.get(readers) == Who{"bert@x.example", "dora@x.example"});
}

TEST_CASE(
    "roster: of two memberships of a person one gets the copy, and duplicates count for all his addresses") {
  Wishing w;
  list::Preferences avoids;
  avoids.avoid_duplicates = true;
  w.add("anna@home.example", avoids);
  w.add("anna@work.example");
  w.add("bert@x.example");
  CHECK(w.get({}) == Who{"anna@home.example", "anna@work.example", "bert@x.example"});
  w.person("anna@work.example", "anna@home.example");
  w.person("anna@work.example", "anna@third.example");
  CHECK(w.get({}) == Who{"anna@work.example", "bert@x.example"});  // her first address
  // The one that gets nothing gives way to the other.
  REQUIRE(w.write([&](Write& write) {
    auto member = *directory::find_member(write, w.list, "anna@work.example");
    member.delivery = list::Delivery::nomail_by_user;
    return directory::set_member(write, w.list, member, now);
  }));
  CHECK(w.get({}) == Who{"anna@home.example", "bert@x.example"});
  Readers readers;
  readers.named = std::make_shared<const Who>(Who{"anna@third.example"});
  CHECK(w.get(readers) == Who{"bert@x.example"});
}
