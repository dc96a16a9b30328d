// Acceptance: posts, slices, and crashes between them.
#include <doctest/doctest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "store/blocking.hpp"
#include "store/directory/operations.hpp"
#include "store/env.hpp"
#include "store/key.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;

namespace {

list::List make_list(Opened& s, std::string local, std::size_t members) {
  list::List made;
  REQUIRE(s.change([&](Write& write) -> Result<void> {
    list::Settings settings;
    settings.owners = {"owner@x.example"};
    auto r = directory::create_list(write, local, "lists.example", settings, s.now());
    if (!r) return tl::unexpected(r.error());
    made = *r;
    return {};
  }));
  std::vector<list::Member> all;
  for (std::size_t i = 0; i < members; ++i) {
    list::Member m;
    m.address = "Member" + std::to_string(i) + "@domain" + std::to_string(i % 100) + ".example";
    if (i % 10 == 9) m.delivery = list::Delivery::digest;
    all.push_back(m);
  }
  if (members > 0) REQUIRE(directory::import_members(*s.store, made.id, all, "test"));
  return made;
}

Acceptance post(const list::List& list, std::string bytes = "Subject: x\r\n\r\nbody\r\n") {
  Acceptance a;
  a.content.bytes = std::make_shared<const std::string>(std::move(bytes));
  NewMessage& m = a.messages.emplace_back();
  m.message.list = list.id;
  m.message.list_address = list.address();
  m.head = "List-Id: <x>\r\n\r\n";
  m.body = {{14, 6, ""}};
  return a;
}

/// What is in the file now, as a crash at this moment would leave it.
void copy_store(const std::string& from, const std::string& to) {
  std::filesystem::create_directories(to);
  std::filesystem::copy_file(from + "/data.mdb", to + "/data.mdb",
                             std::filesystem::copy_options::overwrite_existing);
}

void wait_for_sweep(Opened& s) {
  while (Read(*s.store).entries(Table::stage) > 0) std::this_thread::yield();
}

}  // namespace

TEST_CASE("a post is expanded inside its acceptance") {
  Folder folder;
  Opened s(folder.path());
  s.options.route = [](std::string_view domain) {
    return domain == "domain7.example" ? "lmtp://x:24" : "relay";
  };
  REQUIRE(s.open());
  const list::List list = make_list(s, "test", 1000), other = make_list(s, "other", 30),
                   none = make_list(s, "none", 0);
  Acceptance a = post(list);
  a.messages[0].readers.except = {"member0@domain0.example"};
  a.messages.push_back(post(other).messages[0]);
  a.messages.push_back(post(none).messages[0]);
  a.messages.push_back(plain({"x@y.example"}).messages[0]);
  const auto accepted = s.accept(std::move(a));
  REQUIRE(accepted);
  CHECK(accepted->recipients == std::vector<std::uint32_t>{899, 27, 0, 1});
  CHECK(accepted->routes == std::vector<std::string>{"lmtp://x:24", "relay"});
  CHECK(s.problems() == "");
  const auto m = s.message(accepted->ids[0]);
  CHECK(m->post == 1);
  CHECK(m->counts.queued == 899);
  CHECK(s.message(accepted->ids[1])->content == m->content);
  CHECK(s.message(accepted->ids[2])->state == MessageState::finished);
  CHECK(spool::outgoing(Read(*s.store), *m, 0, 100) == "List-Id: <x>\r\n\r\nbody\r\n");
  const auto recipients = s.recipients(m->id);
  REQUIRE(recipients.size() == 899);
  for (std::size_t i = 1; i < recipients.size(); ++i) {
    const auto domain = [](const std::string& address) { return address.substr(address.find('@')); };
    CHECK(domain(recipients[i - 1].address) <= domain(recipients[i].address));
    CHECK(recipients[i].member != 0);
  }
  CHECK(s.claim(1000, "lmtp://x:24").at(0).recipients.size() == 10);
  CHECK(s.problems() == "");
  Acceptance gone = post(list);
  gone.messages[0].message.list = 999;
  gone.messages[0].message.post = 1;
  CHECK(s.accept(std::move(gone)).error().kind == Error::Kind::not_found);
  CHECK(s.problems() == "");
}

TEST_CASE("a staged acceptance, killed after each commit: all or nothing is seen, the rest is swept") {
  Folder folder, copies;
  Opened s(folder.path());
  std::atomic<bool> copying{false};
  std::atomic<int> copied{0}, slices{0};
  s.options.max_size = 1u << 30;
  s.options.fault = [&](const char* point) {
    if (copying && std::string_view(point) == "committed")
      copy_store(folder.path(), copies.path() + "/" + std::to_string(copied++));
    if (copying && std::string_view(point) == "slice") ++slices;
    return 0;
  };
  REQUIRE(s.open());
  const list::List list = make_list(s, "test", 60'000);
  copying = true;
  const auto accepted = s.accept(post(list, "Subject: x\r\n\r\n" + std::string(6'000'000, 'x')));
  copying = false;
  REQUIRE(accepted);
  REQUIRE(slices >= 2);
  CHECK(accepted->recipients[0] == 54'000);
  CHECK(s.problems() == "");
  for (int i = 0; i < copied; ++i) {
    CAPTURE(i);
    Opened crashed(copies.path() + "/" + std::to_string(i));
    crashed.options.max_size = 1u << 30;
    REQUIRE(crashed.open());
    const bool last = i == copied - 1;
    CHECK(crashed.message(accepted->ids[0]).has_value() == last);
    CHECK(spool::messages(Read(*crashed.store), 0, 10, true).size() == (last ? 1 : 0));
    wait_for_sweep(crashed);
    CHECK(crashed.problems() == "");
    const auto claims = crashed.claim();
    CHECK(claims.size() == (last ? 1 : 0));
    if (!last) {
      CHECK(Read(*crashed.store).entries(Table::content) == 0);
      CHECK(Read(*crashed.store).entries(Table::recipients) == 0);
      CHECK_FALSE(
          spool::earliest_due(Read(*crashed.store), "relay"));  // what is left of it goes at the first claim
    }
  }
}

TEST_CASE("no space during a fan-out of 10,000: refused whole, others go on") {
  for (int at = 1; at < 6; ++at) {
    CAPTURE(at);
    Folder folder;
    Opened s(folder.path());
    std::atomic<int> left{-1};
    s.options.fault = [&](const char* point) {
      return std::string_view(point) == "commit" && left > 0 && --left == 0 ? ENOSPC : 0;
    };
    s.options.max_size = 1u << 30;
    REQUIRE(s.open());
    const list::List list = make_list(s, "test", 10'000);
    left = at;
    const auto accepted = s.accept(post(list, "Subject: x\r\n\r\n" + std::string(4'000'000, 'x')));
    left = -1;
    if (!accepted) {
      CHECK(accepted.error().kind == Error::Kind::full);
      CHECK(spool::messages(Read(*s.store), 0, 10, true).empty());
    }
    wait_for_sweep(s);
    CHECK(s.problems() == "");
    Result<Accepted> next;
    REQUIRE(wait_until([&] { return (next = s.accept(post(list))).has_value(); }));
    CHECK(next->recipients[0] == 9000);
    CHECK(s.message(next->ids[0])->post >= 1);
    CHECK(s.problems() == "");
  }
}

TEST_CASE("a map that is full: only the message that does not fit is refused, delivery goes on") {
  Folder folder;
  Opened s(folder.path());
  s.options.map_size = 24u << 20;
  s.options.max_size = 1u << 30;  // no help from the intake's limit
  REQUIRE(s.open());
  const list::List list = make_list(s, "test", 10'000);
  const auto first = s.accept(post(list));
  REQUIRE(first);
  const auto refused = s.accept(post(list, "Subject: x\r\n\r\n" + std::string(40'000'000, 'x')));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == Error::Kind::full);
  wait_for_sweep(s);
  CHECK(s.problems() == "");
  // Intake opens again at the next look at the room, after at most 0.1 s.
  REQUIRE(wait_until([&] { return s.accept(plain({"a@b.example"})).has_value(); }));
  std::size_t delivered = 0;
  for (int i = 0; i < 100; ++i)
    for (const Claim& c : s.claim(500)) {
      delivered += c.recipients.size();
      REQUIRE(s.settle(outcome_of(c, Verdict::delivered)));
    }
  CHECK(delivered == 9001);
  CHECK(s.message(first->ids[0])->state == MessageState::finished);
  CHECK(s.problems() == "");
}

TEST_CASE("a post that nobody gets is finished, and its content is never written") {
  Fresh s;
  const list::List list = make_list(s, "empty", 0);
  const std::string file = s.folder.path() + "/data.mdb";
  const auto before = std::filesystem::file_size(file);
  for (int i = 0; i < 20; ++i) {
    s.pass(Duration(1));
    const auto accepted = s.accept(post(list, "Subject: x\r\n\r\n" + std::string(1'000'000, 'x')));
    REQUIRE(accepted);
    CHECK(s.message(accepted->ids[0])->state == MessageState::finished);
  }
  CHECK(std::filesystem::file_size(file) < before + 1'000'000);
  CHECK(s.problems() == "");
}
