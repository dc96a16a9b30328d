// Who gets a post: whatever the lists and their members are, the pages of a roster say what a plain model says.
#include "store/roster.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>

#include "store/directory/directory.hpp"
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
