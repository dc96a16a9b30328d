// Faults of this machine and exceptions on a delivering thread: what is in a lane's hands is neither lost nor cut
// nor charged to a host.
#include <doctest/doctest.h>

#include <sys/resource.h>

#include <fstream>

#include "store/broken.hpp"
#include "store/directory/operations.hpp"
#include "store/key.hpp"
#include "store/spool/acceptance.hpp"
#include "tests/server/workshop.hpp"

using namespace spoold;
using namespace spoold::server;
using store::Key;
using store::RecipientState;
using store::Table;

namespace {

/// Every slot of the store's table of readers.
struct AllReaders {
  explicit AllReaders(store::Store& store) {
    try {
      for (;;) all.push_back(std::make_unique<store::Read>(store));
    } catch (const store::Broken& broken) {
      CHECK(broken.error.kind == store::Error::Kind::full);
    }
  }
  std::vector<std::unique_ptr<store::Read>> all;
};

}  // namespace

TEST_CASE("a content with a missing chunk never gets its final dot, whole in memory, streamed or converted") {
  for (const std::string how : {"whole", "streamed", "converted"}) {
    CAPTURE(how);
    Workshop shop;
    const std::size_t size = how == "streamed" ? 3'000'000 : 100'000;
    std::string bytes = "Subject: x\r\n\r\n";
    while (bytes.size() < size) bytes += std::string(70, 'z') + "\r\n";
    store::Acceptance acceptance = store::plain({"a@dest.example", "b@dest.example"}, bytes);
    acceptance.messages[0].message.eight_bit = how == "converted";  // it is ASCII: converted to itself
    shop.peer.eight_bit = how != "converted";
    const store::Id id = shop.opened.accept(std::move(acceptance))->ids[0];
    const auto number = static_cast<std::uint32_t>(size / 20'000);
    const Key chunk = Key().u64(shop.opened.message(id)->content).u32(number);
    const std::string was(*store::Read(*shop.opened.store).get(Table::content, chunk));
    shop.row(Table::content, chunk, std::nullopt);
    shop.start();
    REQUIRE(shop.until([&] { return !shop.thrown.empty(); }));
    CHECK(shop.thrown[0].find("the content of message " + store::id_text(id) + " is damaged") == 0);
    shop.rest(std::chrono::milliseconds(100));
    CHECK(shop.peer.got.empty());
    CHECK(shop.all(id, [](const auto& r) { return r.state != RecipientState::delivered; }));

    shop.row(Table::content, chunk, was);
    REQUIRE(shop.until([&] {
      shop.pass(std::chrono::seconds(30));
      return shop.delivered(id);
    }));
    std::size_t copies = 0;
    for (const auto& mail : shop.peer.got) {
      copies += mail.rcpts.size();
      CHECK(mail.content == bytes);
    }
    CHECK(copies == 2);
  }
}

TEST_CASE("claims that come while no process may read wait for the read, and are not lost") {
  Workshop shop;
  bool there = false;
  shop.peer.script = [&there](const std::string& stage, const std::string& argument) -> std::string {
    if (stage != "rcpt" || argument.find("slow@") == std::string::npos) return "";
    there = true;
    return "!silent";
  };
  shop.start();
  const store::Id first = shop.mail({"slow@dest.example"});
  REQUIRE(shop.until([&] { return there; }));
  auto readers = std::make_unique<AllReaders>(*shop.opened.store);
  const auto second = shop.opened.accept(store::plain({"a@dest.example", "b@dest.example"})).value();
  shop.delivery->wake(second.routes);
  shop.rest(std::chrono::milliseconds(300));
  CHECK(shop.thrown.empty());
  readers.reset();
  CHECK(shop.all(second.ids[0], [](const auto& r) { return r.active; }));  // claimed, not yet in hand
  shop.peer.script = nullptr;
  shop.peer.hang_up();
  REQUIRE(shop.until([&] {
    shop.pass(std::chrono::seconds(30));
    return shop.delivered(second.ids[0]) && shop.delivered(first);
  }));
  CHECK(shop.thrown.empty());
}

TEST_CASE("a lane that cannot be made gives its connection back and is made later") {
  Workshop shop;
  shop.settings.delivery.max_connections = 1;
  shop.start();
  shop.rest(std::chrono::milliseconds(20));
  auto readers = std::make_unique<AllReaders>(*shop.opened.store);
  const auto accepted = shop.opened.accept(store::plain({"a@dest.example"})).value();
  shop.delivery->wake(accepted.routes);
  shop.rest(std::chrono::milliseconds(100));
  CHECK(shop.thrown.empty());
  readers.reset();
  REQUIRE(shop.until([&] {
    shop.pass(std::chrono::seconds(1));
    return shop.delivered(accepted.ids[0]);
  }));
}

TEST_CASE(
    "a record that cannot be read when claims come: they go back to the queue, the error leaves the loop") {
  Workshop shop;
  // Behind everything that a claim looks at, and the first thing that is due later.
  const Key later = Key().str("relay").time(store::noon + std::chrono::hours(1)).u64(7).u32(0);
  shop.row(Table::due, later, "\xff\xff\xff");
  shop.settings.delivery.max_connections = 1;
  shop.start();
  shop.until([&] { return !shop.thrown.empty(); }, std::chrono::milliseconds(200));
  shop.thrown.clear();
  const store::Id id = shop.mail({"a@dest.example", "b@dest.example"});
  REQUIRE(shop.until([&] { return !shop.thrown.empty(); }));
  CHECK(shop.thrown[0].find("due") != std::string::npos);
  REQUIRE(shop.until([&] { return shop.waits(id); }));
  shop.row(Table::due, later, std::nullopt);
  REQUIRE(shop.until([&] {
    shop.pass(std::chrono::seconds(10));
    return shop.delivered(id);
  }));
  CHECK(shop.peer.got.size() == 1);
}

TEST_CASE("an exception while a session takes its next transaction: nobody is lost, nobody gets two copies") {
  Workshop shop;
  store::Id id = 0;
  list::List list;
  list::Settings settings;
  settings.owners = {"owner@lists.example"};
  settings.verp_format = list::VerpFormat::opaque;  // each sender is made with the Hmac
  REQUIRE(shop.opened.change([&](store::Write& write) -> store::Result<void> {
    auto made = store::directory::create_list(write, "test", "lists.example", settings, shop.opened.now());
    if (!made) return tl::unexpected(made.error());
    list = *made;
    for (int i = 0; i < 200; ++i) {
      list::Member member;
      member.address = "m" + std::to_string(i) + "@dest.example";
      if (auto added = store::directory::add_member(write, list.id, member, shop.opened.now()); !added)
        return tl::unexpected(added.error());
    }
    return {};
  }));
  int calls = 0;
  const list::Hmac hmac = hmac_sha256("0123456789abcdef");
  shop.start([&](std::string_view text) {
    if (++calls == 70) throw std::bad_alloc();
    return hmac(text);
  });
  store::Acceptance post;
  post.content.bytes = std::make_shared<const std::string>("Subject: x\r\n\r\nbody\r\n");
  store::NewMessage& m = post.messages.emplace_back();
  m.message.list = list.id;
  m.message.list_address = list.address();
  m.message.copies = list::Copies::each_verp;
  m.message.verp_format = settings.verp_format;
  const auto accepted = shop.opened.accept(std::move(post)).value();
  id = accepted.ids[0];
  shop.delivery->wake(accepted.routes);
  REQUIRE(shop.until([&] { return !shop.thrown.empty(); }));
  REQUIRE(shop.until([&] {
    shop.pass(std::chrono::seconds(30));
    return shop.delivered(id);
  }));
  CHECK(shop.thrown.size() == 1);
}

TEST_CASE(
    "no free descriptor, no such source address, no password: no fault of the host, nobody is charged") {
  for (const std::string what : {"descriptors", "source", "password"}) {
    CAPTURE(what);
    Workshop shop;
    const std::string password = shop.folder.path() + "/password";
    if (what == "source") shop.settings.delivery.source = {"192.0.2.1"};
    if (what == "password") {
      shop.settings.relay.username = "spoold";
      shop.settings.relay.password_file = password;
    }
    shop.start();
    shop.rest(std::chrono::milliseconds(20));
    rlimit was{};
    getrlimit(RLIMIT_NOFILE, &was);
    if (what == "descriptors") {
      const rlimit none{3, was.rlim_max};
      setrlimit(RLIMIT_NOFILE, &none);
    }
    const store::Id id = shop.mail({"a@dest.example"});
    for (int i = 0; i < 5; ++i) {
      shop.rest(std::chrono::milliseconds(20));
      shop.pass(std::chrono::seconds(40));
    }
    setrlimit(RLIMIT_NOFILE, &was);
    CHECK(shop.thrown.empty());
    CHECK(shop.peer.connections == 0);
    CHECK_FALSE(shop.remembered());
    CHECK(shop.all(id, [](const auto& r) { return r.attempts == 0 && r.state == RecipientState::queued; }));
    if (what == "source") continue;
    std::ofstream(password) << "secret\n";
    REQUIRE(shop.until([&] {
      shop.pass(std::chrono::seconds(10));
      return shop.peer.connections > 0;
    }));
    if (what == "descriptors") REQUIRE(shop.until([&] { return shop.delivered(id); }));
  }
}

TEST_CASE("[[destination]] rate and an unanswered content: the lane is quiet until the answer") {
  Workshop shop;
  conf::Destination slow;
  slow.match = "127.0.0.1";
  slow.rate = conf::Rate{1, std::chrono::seconds(1)};
  shop.settings.destinations.push_back(slow);
  shop.settings.delivery.recipients_per_transaction = 1;
  bool there = false;
  shop.peer.script = [&there](const std::string& stage, const std::string&) -> std::string {
    if (stage != "dot") return "";
    there = true;
    return "!silent";
  };
  shop.start();
  shop.mail({"a@dest.example", "b@dest.example", "c@dest.example"});
  REQUIRE(shop.until([&] { return there; }));
  shop.pass(std::chrono::seconds(2));  // the rate would allow the next one
  shop.rest(std::chrono::milliseconds(100));
  shop.turns = 0;
  shop.rest(std::chrono::milliseconds(500));
  CHECK(shop.turns < 50);
}
